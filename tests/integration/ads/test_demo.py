"""The part of the demo about ads, on a pipeline that runs."""

from typing import Any

import pytest
from rich.console import Console

from lethe.demo_ads import AdsDemo
from lethe.local.process import choose_ports
from privacy.consent import Decision
from sinks.ledger import consents
from sinks.ledger.ledger import Ledger
from streams.settings import Settings

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse]


async def test_consented_events_are_seen_to_arrive_and_a_withdrawal_to_stop_them(
    settings: Settings, workers: Any, standins: Any, ledger: Ledger, database: None
) -> None:
    assert database is None
    port, metrics_port = choose_ports(2)
    workers.collect(port)
    workers.start("worker", "route", "deliver", "settle", "consent", metrics_port=metrics_port)
    collector = settings.collector.model_copy(update={"port": port})
    reached = settings.model_copy(update={"collector": collector, "metrics_port": metrics_port})
    console = Console(record=True, width=100)
    left = await AdsDemo(console, reached, standins.desk, seed=7).run()
    with ledger.reading() as connection:
        changes = consents.history(connection, "shop.example", left)
    assert [each.decision for each in changes] == [Decision.GIVEN, Decision.WITHDRAWN]
    assert "21 of 21" in console.export_text()
