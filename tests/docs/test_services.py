"""The table in docs/services.md is the life cycles, and its commands are there."""

import re
from collections.abc import Iterator
from pathlib import Path

from typer.testing import CliRunner

from lethe.cli import app
from privacy.lifecycle import LIFE_CYCLES, LifeCycle, NoticeKind, ServiceEvent
from privacy.outcome import Reason

FILE = Path(__file__).parents[2] / "docs/services.md"
HEAD = "| life cycle | state | event | becomes | of a group | notice |\n|---|---|---|---|---|---|"


def rows(name: str, life_cycle: LifeCycle) -> Iterator[str]:
    begins = [kind for (event, _), kind in life_cycle.notices.items() if event is None]
    if begins:
        yield row(name, "", "*the form*", "", "", ", ".join(f"`{each}`" for each in begins))
    for also, moves in (("", life_cycle.moves), (", with further consent", life_cycle.further)):
        for state, by in moves.items():
            for event, after in by.items():
                notice = life_cycle.notices.get((event, after))
                yield row(
                    name,
                    f"`{state}`{also}",
                    f"`{event}`",
                    f"`{after}`",
                    "yes" if event in life_cycle.group_events else "",
                    f"`{notice}`" if notice else "",
                )


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def table() -> str:
    found = [line for name, each in LIFE_CYCLES.items() for line in rows(f"`{name}`", each)]
    return "\n".join((HEAD, *found))


def test_the_table_is_the_life_cycles() -> None:
    assert table() in FILE.read_text(), f"write this table into docs/services.md:\n{table()}"


def test_every_event_notice_and_reason_is_named() -> None:
    text = FILE.read_text()
    reasons = (
        Reason.ILLEGAL_TRANSITION, Reason.CASE_ENDED, Reason.UNKNOWN_CASE, Reason.UNKNOWN_SERVICE,
    )  # fmt: skip
    for each in (*ServiceEvent, *NoticeKind, *reasons):
        assert f"`{each}`" in text, each


def test_the_commands_are_there() -> None:
    commands = re.findall(r"^\$ lethe (.+)$", FILE.read_text(), re.MULTILINE)
    assert commands
    for words in map(str.split, commands):
        name = words[:2] if words[0] == "events" else words[:1]
        options = {each for each in words if each.startswith("--")}
        shown = CliRunner().invoke(app, [*name, "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0
        assert all(each in shown.output for each in options), words
