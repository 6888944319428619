"""The part of the demo about a form and its deletion, on a pipeline that runs."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lethe.demo_forms import FormsDemo
from lethe.demo_pipeline import DemoError
from lethe.local.process import Process, Supervisor, choose_port
from lethe.standins.account import POLICY
from sinks.kafka_admin import create_topics
from sinks.ledger import deletion
from sinks.ledger.ledger import Ledger
from streams import policy
from streams.keys.prepare import prepare
from streams.settings import Collector, Keys, Settings
from streams.shared import ledger_url

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    departments = policy.load(POLICY)
    kafka = settings.kafka
    create_topics(kafka.bootstrap, kafka.options, kafka.prefix, departments=departments.departments)
    prepare(tmp_path / "secrets", departments)
    return settings.model_copy(
        update={
            "secrets_dir": tmp_path / "secrets",
            "policy": POLICY,
            "collector": Collector(port=choose_port(0)),
            "keys": Keys(port=choose_port(0)),
            "metrics_port": 0,
        }
    )


@pytest.fixture(autouse=True)
def _pipeline(settings: Settings, tmp_path: Path) -> Iterator[None]:
    only = [word for part in ("cases", "delete", "receipts") for word in ("--only", part)]
    commands: dict[str, tuple[list[str], list[int]]] = {
        "collect": (["collect"], [settings.collector.port]),
        "keys": (["keys", "serve"], [settings.keys.port]),
        "worker": (["worker", *only], []),
    }
    supervisor = Supervisor()
    supervisor.start()
    for name, (words, ports) in commands.items():
        command = [sys.executable, "-m", "lethe", *words]
        log = tmp_path / "logs" / f"{name}.log"
        supervisor.run(Process(name, command, log, ports, settings.environment()))
    yield
    supervisor.stop()


async def test_a_form_is_read_by_its_department_alone_and_by_nobody_once_it_is_done(
    settings: Settings,
) -> None:
    console = Console(record=True, width=140)
    deletion_id = await FormsDemo(console, settings, seed=7).run()
    ledger = Ledger.open(ledger_url(settings))
    with ledger.reading() as connection:
        found: Any = deletion.show(connection, deletion_id)
    ledger.close()
    assert found.certificate is not None
    shown = console.export_text()
    assert "robin-00000007@example.com" in shown
    for step in ("shredded", "unreadable", "announced", "done", "certified", "holds"):
        assert step in shown
    with pytest.raises(DemoError, match="answered 410"):  # the same form: it stays deleted
        await FormsDemo(console, settings, seed=7).run()
