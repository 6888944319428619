"""docs/bounds.md names tests that exist and figures that the code goes by."""

import re
from pathlib import Path

import pytest

from privacy.durations import DAY_MS, HOUR_MS, MINUTE_MS
from schemas.registry import topics
from sinks.salts import GRACE_MS
from sinks.sqlite import READERS_SECONDS
from streams.collector.forms import FORGET_AFTER_MS
from streams.deletion.overdue import OURS_MS
from streams.deletion.shred import IDLE_SECONDS
from streams.delivery.http import ANSWER_SECONDS
from streams.delivery.settle import KILL_SECONDS, promised_ms
from streams.lanes.raw import ALARM_SECONDS
from streams.settings import Settings
from tests.mutation.mutations import MUTATIONS
from tests.named import named, names_in

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/bounds.md").read_text()
NAMED = named(TEXT)
SETTINGS = Settings.model_construct(**{
    name: each.get_default(call_default_factory=True)
    for name, each in Settings.model_fields.items()
})  # fmt: skip
TABLES = re.findall(r"(?:^\|.*\n)+", TEXT, re.MULTILINE)


def rows(table: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if not set(line) <= set("|-: ")
    ]


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED)))
def test_the_test_that_shows_a_bound_exists(file: str, name: str) -> None:
    assert name in names_in(file)


def test_every_bound_has_a_test_or_says_why_not() -> None:
    shown = [row for table in TABLES for row in rows(table) if rows(table)[0][-1] == "shown by"]
    assert len(shown) > 25
    for row in shown:
        assert "::test_" in row[-1] or row[-1].startswith("no test: ") or row[-1] == "shown by", row


def told(milliseconds: int) -> str:
    """Spell a duration as the page does: up to two days in hours."""
    if milliseconds > 2 * DAY_MS:
        assert not milliseconds % DAY_MS
        return f"{milliseconds // DAY_MS} days"
    hours, rest = divmod(milliseconds, HOUR_MS)
    assert not rest % MINUTE_MS
    parts = (f"{hours} h" if hours else "", f"{rest // MINUTE_MS} min" if rest else "")
    return " ".join(filter(None, parts))


def test_topics_are_gone_when_the_page_says() -> None:
    (table,) = (each for each in TABLES if each.startswith("| topics |"))
    found = {}
    for names, kept, segment, gone in rows(table)[1:]:
        for name in re.findall("`([^`]+)`", names):
            found[name] = (kept.partition(" after ")[0], segment, gone)
    expected = {}
    for name, topic in topics().items():
        compacted = topic.config["cleanup.policy"] == "compact"
        kept_ms = int(topic.config["max.compaction.lag.ms" if compacted else "retention.ms"])
        segment_ms = int(topic.config["segment.ms"])
        expected[name] = (told(kept_ms), told(segment_ms), told(kept_ms + segment_ms))
    assert found == expected


BROKERS_OWN_MS = 6 * MINUTE_MS  # until it looks, and until it deletes


@pytest.mark.parametrize("name", ["access-log", "security-alerts"])
def test_who_attacked_is_gone_within_a_day(name: str) -> None:
    config = topics()[name].config
    assert int(config["retention.ms"]) + int(config["segment.ms"]) + BROKERS_OWN_MS < DAY_MS


RAW = topics()["tracking-events-raw"].config
STATED = {
    "| 7 s (target: 99 % in 1 s;": promised_ms(SETTINGS.ads.lease_seconds) == 7_000,
    "a lease of 2 s, an answer of 3 s, 2 s to kill who is late": (
        (SETTINGS.ads.lease_seconds, ANSWER_SECONDS, KILL_SECONDS) == (2, 3, 2)
    ),
    "| 3 s more |": ANSWER_SECONDS == 3,
    "| 5 h, then it is dropped |": SETTINGS.ads.patience_hours == 5,
    "an alert after 60 s": OURS_MS == 60_000,
    "the worker looks every 0.1 s; a reader in the way is waited for 1 s": (
        (IDLE_SECONDS, READERS_SECONDS) == (0.1, 1)
    ),
    "| 48 h, plus an hour until the collector looks |": FORGET_AFTER_MS == 48 * HOUR_MS,
    "| 48 h after they were loaded, plus 1 h until the merge; 10 min more": (
        SETTINGS.statistics.facts_hours == 48
        and "merge_with_ttl_timeout = 3600"
        in (ROOT / "sinks/clickhouse/migrations/0001_facts.sql").read_text()
    ),
    "| 2 h past midnight UTC |": GRACE_MS == 2 * HOUR_MS,
    "an alarm at 450 s": ALARM_SECONDS == 450,
    "| 16 min, plus the broker's look": int(RAW["retention.ms"]) + int(RAW["segment.ms"])
    == 16 * MINUTE_MS,
    "| 30 min after its end, once it was quiet for 60 s |": (
        (SETTINGS.statistics.grace_minutes, SETTINGS.statistics.settle_seconds) == (30, 60)
    ),
    "| until 46 h after its first event was loaded |": SETTINGS.statistics.facts_hours - 2 == 46,
    "figures of fewer than 10 visitors": SETTINGS.statistics.k == 10,
}


@pytest.mark.parametrize("stated", STATED)
def test_a_figure_is_what_the_code_goes_by(stated: str) -> None:
    assert stated in TEXT
    assert STATED[stated]


def test_every_guard_that_is_taken_out_is_named_with_what_notices() -> None:
    (table,) = (each for each in TABLES if each.startswith("| guard |"))
    assert rows(table)[1:] == [
        [
            each.guard,
            each.name,
            ", ".join(f"`{test.removeprefix('tests/').partition('[')[0]}`" for test in each.tests),
        ]
        for each in MUTATIONS
    ]
