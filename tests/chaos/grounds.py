"""Grounds on which more can go wrong: a bad network and small disks, or three brokers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from lethe.local import brokers, packages
from lethe.local.engines import Engines
from lethe.local.process import choose_port
from lethe.standins.server import StandIns
from sinks.geo.store import sample_table
from streams.settings import Geo, Kafka, Settings, load
from tests.chaos import apart
from tests.chaos.cluster import THREE
from tests.chaos.disks import DISKS
from tests.chaos.network import NETWORK, Proxy
from tests.chaos.stack import Ground

# So much fits on the disks: more than a slice needs, and little enough to be filled at once.
SIZES: Final = {"kafka": 1 << 30, "clickhouse": 1 << 30, "data": 1 << 28}  # bytes


@contextmanager
def rough(folder: Path) -> Iterator[Ground]:
    """Run Apache Kafka and ClickHouse behind a bad network, on small disks where it may mount."""
    with ExitStack() as all_of_it:
        disks = {}
        for name in ("kafka", "clickhouse"):
            if all_of_it.enter_context(small(folder / name, SIZES[name])):
                disks[name] = folder / name
        port = choose_port(0)
        network = {
            name: all_of_it.enter_context(Proxy(target, seed=name))
            for name, target in {"kafka": port, "clickhouse": 0, "providers": 0}.items()
        }
        given = _settings(folder, Kafka(bootstrap=f"127.0.0.1:{network['kafka'].port}"))
        engines = all_of_it.enter_context(Engines(given, "kafka", usual_ports=False))
        engines.run(
            brokers.kafka(
                packages.kafka_jars(), folder / "kafka", engines.log("broker"), port,
                advertised=network["kafka"].port,
            )
        )  # fmt: skip
        house = engines.settings.clickhouse
        network["clickhouse"].target = house.port
        there = house.model_copy(update={"port": network["clickhouse"].port})
        yield Ground(
            engines.settings.model_copy(update={"clickhouse": there}),
            engines.supervisor,
            [folder / "kafka", folder / "clickhouse"],
            offers={NETWORK: network, DISKS: disks},
        )


@contextmanager
def three(folder: Path) -> Iterator[Ground]:
    """Run three brokers, of which one may be lost, and ClickHouse."""
    with ExitStack() as all_of_it:
        nodes = brokers.cluster(packages.kafka_jars(), folder / "kafka", folder / "logs")
        bootstrap = ",".join(f"127.0.0.1:{each.ports[0]}" for each in nodes)
        given = _settings(folder, Kafka(bootstrap=bootstrap))
        engines = all_of_it.enter_context(Engines(given, "kafka", usual_ports=False))
        engines.supervisor.run(*nodes)
        yield Ground(
            engines.settings,
            engines.supervisor,
            [folder / "kafka", folder / "clickhouse"],
            brokers=[each.name for each in nodes],
            offers={THREE: nodes},
        )


@contextmanager
def small(folder: Path, size: int) -> Iterator[bool]:
    """Have a folder be on a disk of so many bytes until the block ends; gives whether it is."""
    try:
        apart.mount(folder, size)
    except apart.RefusedError:
        yield False
        return
    try:
        yield True
    finally:
        apart.unmount(folder)


@contextmanager
def company_disk(ground: Ground, folder: Path) -> Iterator[None]:
    """Have a company's own data, its ledger among them, be on a small disk until the block ends."""
    if DISKS not in ground.offers:
        yield
        return
    with small(folder, SIZES["data"]) as is_small:
        if is_small:
            ground.offers[DISKS]["ledger"] = folder
        try:
            yield
        finally:
            ground.offers[DISKS].pop("ledger", None)


def reached(ground: Ground, standins: StandIns) -> StandIns:
    """Return the stand-ins as they are reached on this ground: through its network."""
    if NETWORK not in ground.offers:
        return standins
    proxy: Proxy = ground.offers[NETWORK]["providers"]
    base, _, port = standins.url.rpartition(":")
    proxy.target = int(port)
    return standins._replace(url=f"{base}:{proxy.port}")


def _settings(folder: Path, kafka: Kafka) -> Settings:
    cities = folder / "geo"
    sample_table(cities)
    return load(engines=False, data_dir=folder, geo=Geo(cache=cities), kafka=kafka)
