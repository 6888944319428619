"""What benches on one broker share: each measure in a process, a ledger and topics of its own."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import Progress

from bench.__main__ import machine
from lethe.local.engines import Engines
from streams.run import spare_collector
from streams.settings import ClickHouse, Settings, load
from streams.shared import Shared

WIDTH = 120  # no row of a table may be broken

Result = Mapping[str, Any]
Measure = Callable[[Shared, float], Result]


def run(
    package: str,
    about: str | None,
    measures: Iterable[str],
    policy: Path,
    show: Callable[[Mapping[str, Result], Console], None],
    *,
    clickhouse: bool = False,
    broker: Literal["embedded", "kafka"] = "embedded",
) -> None:
    """Run what was asked for of a package's measures, ``show`` the tables, write the JSON.

    ``clickhouse``: whether measures need it. ``broker`` is the one that is not asked for.
    """
    names = list(measures)
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--only", action="append", choices=names, help="repeat it")
    parser.add_argument("--scale", type=float, default=1.0, help="less of everything, to try it")
    parser.add_argument("--broker", choices=("embedded", "kafka"), default=broker)
    output = Path("docs") / f"benchmarks-{package.rpartition('.')[2]}.json"
    parser.add_argument("--output", type=Path, default=output)
    arguments = parser.parse_args()
    wanted = [name for name in names if name in (arguments.only or names)]
    console = Console(width=WIDTH)
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder, Progress(console=console) as bar:
        given = load(engines=False, data_dir=Path(folder))
        if not clickhouse:  # none is started in the place of this one
            given = given.model_copy(update={"clickhouse": ClickHouse(port=9000)})
        with Engines(given, broker=arguments.broker, usual_ports=False) as engines:
            task = bar.add_task("", total=len(wanted))
            for name in wanted:
                bar.update(task, description=name)
                results[name] = _measure(package, name, engines.settings, policy, arguments.scale)
                bar.advance(task)
    report = {
        "machine": machine(),
        "broker": arguments.broker,
        "scale": arguments.scale,
        "results": results,
    }
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    show(results, console)


def contend(about: str | None, measures: Mapping[str, Measure]) -> None:
    """Run one measure in this process; print what it found as a line of JSON.

    The engines' addresses are in the environment.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("name", choices=measures)
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    spare_collector()
    shared = Shared(load())
    print(json.dumps(measures[arguments.name](shared, arguments.scale)))
    shared.ledger.close()


def ratio(value: float) -> str:
    """Return a ratio as the tables show it."""
    return f"**{value:.2f}**"


def _measure(package: str, name: str, settings: Settings, policy: Path, scale: float) -> Result:
    kafka = settings.kafka.model_copy(update={"prefix": f"{name}."})
    own = settings.model_copy(
        update={
            "policy": policy,
            "data_dir": settings.data_dir / name,
            "secrets_dir": settings.secrets,
            "kafka": kafka,
        }
    )
    command = [sys.executable, "-m", f"{package}.contender", name, "--scale", str(scale)]
    done = subprocess.run(command, env=own.environment(), stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))
