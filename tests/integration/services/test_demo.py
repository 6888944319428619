"""The part of the demo about a form and its deletion, on a pipeline that runs."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lethe.demo_forms import FormsDemo
from lethe.demo_pipeline import DemoError
from lethe.standins.account import POLICY
from sinks.ledger import deletion

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def policy_file() -> Path:
    return POLICY


async def test_a_form_is_read_by_its_department_alone_and_by_nobody_once_it_is_done(
    idle_company: Any,
) -> None:
    idle_company.start()
    console = Console(record=True, width=140)
    deletion_id = await FormsDemo(console, idle_company.settings, seed=7).run()
    with idle_company.ledger.reading() as connection:
        found: Any = deletion.show(connection, deletion_id)
    assert found.certificate is not None
    shown = console.export_text()
    assert "robin-00000007@example.com" in shown
    for step in ("shredded", "unreadable", "announced", "done", "certified", "holds"):
        assert step in shown
    with pytest.raises(DemoError, match="answered 410"):  # the same form: it stays deleted
        await FormsDemo(console, idle_company.settings, seed=7).run()
