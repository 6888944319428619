"""docs/operations.md knows every part of the worker and every alert about deletions."""

import re
from pathlib import Path

from sinks.ledger.deletion import Late
from streams.deletion.overdue import alerts
from streams.parts import PARTS

TEXT = (Path(__file__).parents[2] / "docs/operations.md").read_text()


def test_every_part_of_the_worker_is_described_and_no_other() -> None:
    table = TEXT.partition("| part |")[2].partition("\n\n")[0]
    first = (line.split("|")[1] for line in table.splitlines()[2:])
    assert {each for cell in first for each in re.findall("`([^`]+)`", cell)} == set(PARTS)


def test_what_to_do_about_each_alert_of_deletions_is_told() -> None:
    raised = alerts([Late(None, 1, 0), Late("crm", 1, 0)])
    for each in raised:
        assert f"alert `{each.kind}`" in TEXT
