"""A backup as a file: the ledger at one moment, and what has to be known to restore it.

A tar of ``manifest.json`` and ``ledger.db``. Neither salts nor department's keys are in it.
"""

import io
import json
import os
import tarfile
from dataclasses import asdict, dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import IO, Any, Self

MANIFEST, LEDGER = "manifest.json", "ledger.db"
FORMAT = 1

Offsets = dict[str, dict[str, int]]
"""By topic and partition."""


class BackupError(RuntimeError):
    """Raised for a backup that cannot be made or used; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself.

    ``made_at``: milliseconds since 1970, before anything was read. ``ends``: where the topics ended
    then. ``readers``: what each group of readers had still to read, by its name without prefix.
    """

    lethe: str
    schema: int  # the last migration
    made_at: int
    database: str
    prefix: str
    policy: str
    ends: Offsets
    readers: dict[str, Offsets]
    sha256: str = ""
    format: int = field(default=FORMAT)

    @classmethod
    def read(cls, text: str) -> Self:
        """Return what a manifest says. Raise BackupError."""
        try:
            content: dict[str, Any] = json.loads(text)
            if content["format"] != FORMAT:
                raise BackupError("the backup was made by another release; restore it with that")
            return cls(**content)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BackupError("the file is no backup of a ledger") from None


def write(file: Path, manifest: Manifest, ledger: Path) -> None:
    """Put a backup together at ``file``, for its owner alone, whole or not at all.

    ``manifest`` lacks the digest still. Raise OSError.
    """
    with ledger.open("rb") as content:
        digest = file_digest(content, "sha256").hexdigest()
    text = json.dumps({**asdict(manifest), "sha256": digest}, indent=1).encode()
    part = file.with_name(f".{file.name}.{os.getpid()}")
    handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            with tarfile.open(fileobj=out, mode="w") as tar:
                about = tarfile.TarInfo(MANIFEST)
                about.size, about.mode = len(text), 0o600
                tar.addfile(about, io.BytesIO(text))
                about = tarfile.TarInfo(LEDGER)
                about.size, about.mode = ledger.stat().st_size, 0o600
                with ledger.open("rb") as content:
                    tar.addfile(about, content)
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def read(file: Path) -> Manifest:
    """Return what a backup says of itself. Raise BackupError and OSError."""
    with _opened(file) as tar:
        return _manifest(tar)


def unpack(file: Path, ledger: Path) -> Manifest:
    """Write a backup's ledger to a new file, for its owner alone; raise BackupError if damaged."""
    with _opened(file) as tar:
        manifest, content = _manifest(tar), _content(tar, LEDGER)
        ledger.unlink(missing_ok=True)
        handle = os.open(ledger, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as out:
            while block := content.read(1 << 20):
                out.write(block)
    with ledger.open("rb") as written:
        if file_digest(written, "sha256").hexdigest() != manifest.sha256:
            ledger.unlink()
            raise BackupError("the backup is damaged; use another")
    return manifest


def _opened(file: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(file, "r:")
    except tarfile.TarError:
        raise BackupError("the file is no backup of a ledger") from None


def _manifest(tar: tarfile.TarFile) -> Manifest:
    return Manifest.read(_content(tar, MANIFEST).read().decode(errors="replace"))


def _content(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """Return what a member holds, which is a file: a link leads elsewhere, or round and round."""
    try:
        member = tar.getmember(name)
        content = tar.extractfile(member) if member.isfile() else None
    except (KeyError, ValueError, tarfile.TarError):  # ValueError: of a size beyond all files
        content = None
    if content is None:
        raise BackupError("the file is no backup of a ledger")
    return content
