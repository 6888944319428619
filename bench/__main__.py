"""``python -m bench``: every contender on one broker in one go.

Prints a table and writes JSON. All ratios come from the same run, broker and events; CPU seconds
are those of the contender's process, so that the broker's share does not blur them.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.contenders import CONTENDERS
from bench.events import events
from lethe.local import packages
from lethe.local.engines import Engines
from lethe.local.stack import prepare
from sinks.geo import ensure
from sinks.kafka import BatchProducer, consumer
from streams import kafka_login
from streams.settings import Settings, load

PACKAGES = ("pyarrow", "pyruhvro", "fastavro", "confluent-kafka", "faust-streaming", "noida-db")
STEP = 100_000  # events of the memory run that lie on the topic at once
Result = dict[str, Any]


def main() -> None:
    """Run what was asked for, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--memory-events", type=int, default=5_000_000, help="0: leave it out")
    parser.add_argument("--only", action="append", choices=CONTENDERS, help="repeat it")
    parser.add_argument("--broker", choices=("embedded", "kafka"), default="embedded")
    parser.add_argument("--output", type=Path, default=Path("docs/benchmarks.json"))
    arguments = parser.parse_args()
    names = [name for name in CONTENDERS if name in (arguments.only or CONTENDERS)]
    results: dict[str, Result] = {}
    console = Console()
    with tempfile.TemporaryDirectory() as folder, Progress(console=console) as bar:
        settings = load(engines=False, data_dir=Path(folder))
        ensure(settings.geo.cache, settings.geo.databases)
        with Engines(settings, broker=arguments.broker, usual_ports=False) as engines:
            prepare(engines.settings, lambda _: None, None)
            create(engines.settings, ("bench-copied", "bench-plain", "bench-faust"))
            size = fill(engines.settings, arguments.events, bar)
            task = bar.add_task("contenders", total=len(names))
            for name in names:
                if name != "memory":
                    bar.update(task, description=name)
                    results[name] = contend(name, engines.settings, arguments.events)
                bar.advance(task)
        if arguments.memory_events and "memory" in names:
            settings = load(engines=False, data_dir=Path(folder) / "memory")
            with Engines(settings, broker=arguments.broker, usual_ports=False) as engines:
                prepare(engines.settings, lambda _: None, None)
                results["memory"] = memory(engines.settings, arguments.memory_events, bar)
    report = {
        "machine": machine(),
        "broker": arguments.broker,
        "events": arguments.events,
        "bytes_an_event": round(size),
        "results": results,
        "ratios": ratios(results),
    }
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    show(report, console)


def create(settings: Settings, topics: Sequence[str]) -> None:
    """Create the contenders' own topics, with as many partitions as those of the lane."""
    admin = AdminClient(
        {"bootstrap.servers": settings.kafka.bootstrap, **kafka_login.options(settings)}
    )
    for made in admin.create_topics([NewTopic(topic, 4, 1) for topic in topics]).values():
        made.result(30)


def fill(settings: Settings, count: int, bar: Progress) -> float:
    """Publish the events; return their mean size in bytes."""
    producer = BatchProducer(settings.kafka.bootstrap, kafka_login.options(settings))
    task = bar.add_task("publishing events", total=count)
    size = 0
    for chunk in events(count):
        producer.send(settings.topic("tracking-events"), chunk)
        producer.stored(120)
        size += sum(map(len, chunk))
        bar.advance(task, len(chunk))
    return size / count


def contend(name: str, settings: Settings, count: int) -> Result:
    """Run one contender in a process of its own and return what it measured."""
    process = start(name, settings, count)
    return dict(json.loads(process.communicate()[0].splitlines()[-1]))


def start(name: str, settings: Settings, count: int) -> subprocess.Popen[bytes]:
    """Start a contender on the engines of the settings."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench.contenders", name, str(count)],
        env=settings.environment(),
        stdout=subprocess.PIPE,
    )


def memory(settings: Settings, count: int, bar: Progress) -> Result:
    """Run the lane over ``count`` events that arrive as it reads; return its RSS on the way.

    What is read is deleted: the embedded broker keeps topics in memory and hands a reader its
    whole backlog at once, which would measure the broker and not the lane.
    """
    lane = start("memory", settings, count)
    producer = BatchProducer(settings.kafka.bootstrap, kafka_login.options(settings))
    task = bar.add_task("memory of the lane", total=count)
    done = 0
    for chunk in events(count):
        producer.send(settings.topic("tracking-events"), chunk)
        done += len(chunk)
        if done % STEP == 0:
            producer.stored(120)
            wait_until_read(settings, "bench-memory", "tracking-events")
            for topic in ("tracking-events", "tracking-anonymised"):
                delete_all(settings, topic)
        bar.advance(task, len(chunk))
    return dict(json.loads(lane.communicate(timeout=120)[0].splitlines()[-1]))


def wait_until_read(settings: Settings, group: str, topic: str) -> None:
    """Wait until ``group`` has committed everything on ``topic``."""
    client = consumer(settings.kafka.bootstrap, group, kafka_login.options(settings))
    try:
        while any(
            each.offset < client.get_watermark_offsets(each)[1]
            for each in client.committed(partitions(client, settings.topic(topic)))
        ):
            time.sleep(0.05)
    finally:
        client.close()


def delete_all(settings: Settings, topic: str) -> None:
    """Delete every record of a topic."""
    client = consumer(settings.kafka.bootstrap, "bench", kafka_login.options(settings))
    ends = [
        TopicPartition(each.topic, each.partition, client.get_watermark_offsets(each)[1])
        for each in partitions(client, settings.topic(topic))
    ]
    client.close()
    admin = AdminClient(
        {"bootstrap.servers": settings.kafka.bootstrap, **kafka_login.options(settings)}
    )
    for done in admin.delete_records([each for each in ends if each.offset]).values():
        done.result(30)


def partitions(client: Any, topic: str) -> list[TopicPartition]:
    """Return the partitions of a topic."""
    found = client.list_topics(topic, timeout=10).topics[topic].partitions
    return [TopicPartition(topic, each) for each in found]


def machine() -> dict[str, str]:
    """Name the processor, its cores, and the versions of what matters."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return {
        "processor": next(names, "?"),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "kafka": packages.KAFKA_VERSION,
        **json.loads((packages.DEPLOY / "engines" / "package.json").read_text())["dependencies"],
    }


def ratios(results: dict[str, Result]) -> dict[str, float]:
    """Return the lane against its ceiling and its peers, by events per CPU second."""
    speed = {name: each["events"] / each["cpu"] for name, each in results.items()}
    found = {
        f"lane / {peer}": speed["lane"] / speed[peer]
        for peer in ("passthrough", "plain", "faust")
        if "lane" in speed and peer in speed
    }
    if "memory" in results:
        steps = results["memory"]["rss_by_million"]
        found["RSS after the last / the first million"] = steps[-1] / steps[0]
    return {name: round(value, 3) for name, value in found.items()}


def show(report: dict[str, Any], console: Console) -> None:
    """Print the report."""
    table = Table(
        "", "events/s", "events per CPU s", "RSS MB", title=f"{report['events']:,} events"
    )
    for name, each in report["results"].items():
        table.add_row(
            name,
            f"{each['events'] / each['seconds']:,.0f}",
            f"{each['events'] / each['cpu']:,.0f}",
            f"{each['rss'] / 1e6:,.0f}",
        )
    console.print(table)
    for name, value in report["ratios"].items():
        console.print(f"{name}: [bold]{value:g}[/]")


if __name__ == "__main__":
    main()
