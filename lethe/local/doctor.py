"""What this machine has of what the engines need."""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from lethe.local import EngineError, confine, packages
from lethe.local.process import listening
from sinks.geo import table_path
from streams.settings import load

DISK_GB = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. ``needed``: lethe up does not work without it."""

    what: str
    wanted_for: str
    good: bool
    state: str
    remedy: str
    needed: bool = True


def checks() -> Iterator[Check]:
    """Look at everything, the indispensable first. Nothing is fetched or changed."""
    python = sys.version_info >= (3, 11)
    yield Check("Python", "everything", python, platform.python_version(), "install Python 3.11+")
    system = f"{platform.system()} {platform.machine()}"
    yield Check(
        "system", "embedded ClickHouse", system == "Linux x86_64", system,
        "name a ClickHouse of yours: clickhouse.host and clickhouse.port in lethe.toml",
    )  # fmt: skip
    confined = confine.available()
    yield Check(
        "Landlock", "keeping embedded ClickHouse to its own files", confined,
        "on" if confined else "not in this kernel", "use a Linux kernel that has it switched on",
        needed=False,
    )  # fmt: skip
    yield _program("npm", "ClickHouse, city data", "install Node.js 20+, which brings npm")
    try:
        broker = str(packages.broker_binary())
    except EngineError as error:
        broker = str(error)
    yield Check("embedded broker", "lethe up", "missing" not in broker, broker, packages.INSTALL)
    free = shutil.disk_usage(".").free / 1e9
    yield Check("disk", "engines and data", free > DISK_GB, f"{free:.0f} GB free", "make room")
    library = packages.clickhouse_path()
    yield Check(
        "ClickHouse",
        "lethe up",
        library.exists(),
        str(library),
        "lethe up fetches it",
        needed=False,
    )
    geo = load().geo
    table = table_path(geo.cache, geo.databases)
    yield Check(
        "city table", "cities", table.exists(), str(table), "lethe geo update", needed=False
    )
    yield _program("java", "--broker kafka", "install a Java 17+ runtime", needed=False)
    yield _program("mvn", "fetching Apache Kafka", "install Maven 3.8+", needed=False)
    for port in (8080, 8123, 9000, 9092, 9464):
        taken = listening(port)
        yield Check(
            f"port {port}", "lethe up", not taken, "in use" if taken else "free",
            "lethe up chooses another", needed=False,
        )  # fmt: skip


def _program(name: str, wanted_for: str, remedy: str, *, needed: bool = True) -> Check:
    path = shutil.which(name)
    if path is None:
        return Check(name, wanted_for, good=False, state="not found", remedy=remedy, needed=needed)
    asked = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    said = (asked.stdout or asked.stderr).strip().splitlines()
    state = re.sub(r"\x1b\[[0-9;]*m", "", said[0]) if said else path
    return Check(name, wanted_for, good=True, state=state, remedy=remedy, needed=needed)
