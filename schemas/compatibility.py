"""Keep published records published: append to the id lock, refuse a version that breaks a reader.

Run ``python -m schemas.compatibility`` after adding a schema file: it appends the file to
``ids.lock`` when every version can read every other (full-transitive), and says which pair cannot.
Needs the development install (the ``avro`` package).
"""

import json
import sys
from itertools import permutations

from schemas.registry import LOCK, digest, schema_files


def breaks(name: str, versions: dict[int, str]) -> list[str]:
    """Name each pair of versions of which one cannot read what the other wrote."""
    from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
    from avro.schema import parse

    parsed = {number: parse(text) for number, text in versions.items()}
    return [
        f"{name}: v{reader} cannot read v{writer}"
        for reader, writer in permutations(parsed, 2)
        if ReaderWriterCompatibilityChecker()
        .get_compatibility(parsed[reader], parsed[writer])
        .compatibility
        is not SchemaCompatibilityType.compatible
    ]


def main() -> int:
    """Append what is new to the lock; return 1 when a version breaks another."""
    files = {key: path.read_text() for key, path in schema_files().items()}
    problems: list[str] = []
    for name in {record for record, _ in files}:
        problems += breaks(name, {v: text for (record, v), text in files.items() if record == name})
    if problems:
        sys.stderr.write("\n".join(problems) + "\n")
        return 1
    lines = LOCK.read_text().splitlines() if LOCK.exists() else []
    known = {tuple(line.split()[1:3]) for line in lines}
    for (name, version), text in files.items():
        if (name, str(version)) not in known:
            json.loads(text)
            lines.append(f"{len(lines) + 1} {name} {version} {digest(text)}")
    LOCK.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
