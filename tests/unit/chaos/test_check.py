"""Each invariant of the rig can fail: a world with one thing wrong, and what is counted of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from privacy.durations import DAY_MS
from tests.chaos.acked import Item, Kind, Line
from tests.chaos.check import Called, Case, End, Episode, Violation, World, rows, violations
from tests.chaos.owed import Owed

NOON = 20_000 * DAY_MS + DAY_MS // 2
STAYS, LEAVES, OBJECTS = "stays", "leaves", "objects"
CHANGES = (
    ("given", STAYS, "ads", "given", 1),
    ("given too", LEAVES, "ads", "given", 1),
    ("withdrawn", LEAVES, "ads", "withdrawn", 2),
    ("objected", OBJECTS, "analytics", "objected", 1),
)


def both(at: int, kind: Kind, tried: Item, acked: Item | None = None) -> list[Line]:
    """Return what is written of something that is sent and acknowledged a moment later."""
    return [Line(at, kind, acked=False, items=[tried]),
            Line(at + 5, kind, acked=True, items=[acked or tried])]  # fmt: skip


def visit(name: str, visitor: str, epoch: int | None, **more: Any) -> Item:
    usual = {"occurred_at": NOON, "page": "/tea", "trait": ""}
    return {"event_id": name, "visitor": visitor, "epoch": epoch, **usual, **more}


def told() -> list[Line]:
    """Return the rig's own ledger of a short day."""
    lines = []
    for at, (name, who, purpose, decision, epoch) in zip((10, 20, 200, 30), CHANGES, strict=True):
        item = {"change_id": name, "visitor": who, "purpose": purpose, "decision": decision}
        lines += both(at, Kind.CONSENT, item, {**item, "epoch": epoch})
    for at, each in (
        (100, visit("a", STAYS, 1)),
        (110, visit("b", LEAVES, 1)),
        (120, visit("a", STAYS, 1, trait="twice")),
        (300, visit("late", LEAVES, 1)),
        (310, visit("unwanted", OBJECTS, None)),
        (320, visit("c", "anybody", None)),
    ):
        lines += both(at, Kind.EVENT, each)
    for at, name in ((400, "kept"), (410, "gone")):
        item = {"key": f"key of {name}", "email": f"{name}@example.com"}
        lines += both(at, Kind.FORM, item, {**item, "case_id": name, "wrapped": []})
    lines += both(500, Kind.ENDED, {"event_id": "e", "case_id": "gone"})
    lines += both(600, Kind.POISON, {}, {"place": "t:0:7"})
    return lines


@pytest.fixture
def owed() -> Owed:
    return Owed(told())


@pytest.fixture
def world() -> World:
    """Make a world in which all is as it should be."""
    events = dict.fromkeys(("a", "b", "late", "c"), 1)
    cell = (3, 4)
    return World(
        facts=events,
        stored=events,
        loadable={**events, "a": 2},
        cells={20_000: {(): cell, ("page_view",): cell, ("page_view", "/tea"): cell}},
        changes=Counter(name for name, *_ in CHANGES),
        standings={
            (STAYS, "ads"): "given",
            (LEAVES, "ads"): "withdrawn",
            (OBJECTS, "analytics"): "objected",
        },
        states={LEAVES: [1, 2]},
        ends=[End(LEAVES, 2, 250)],
        calls=[Called("meta", 130, ["a", "b"]), Called("x", 240, ["order"], [LEAVES])],
        taken=Counter({("meta", "a"): 1, ("ga4", "a"): 1, ("x", "order"): 1}),
        fates={("meta", "a"): "delivered", ("ga4", "a"): "delivered"},
        there=frozenset({("ga4", STAYS), ("meta", STAYS)}),
        told_of={"order": "b"},
        cases={"kept": Case("open"), "gone": Case("deleted", certified=True)},
        made_of={"key of kept": "kept", "key of gone": "gone"},
        said={"kept": ["open"], "gone": ["open", None, None]},
        seen={"kept": "kept@example.com"},
        rejects={"t:0:7": "wrong_magic"},
        lying=frozenset({"t:0:7"}),
    )


def test_nothing_is_wrong_with_a_world_as_it_should_be(owed: Owed, world: World) -> None:
    assert violations(owed, world) == []


def test_what_was_on_its_way_through_a_slow_network_may_arrive_late(
    owed: Owed, world: World
) -> None:
    late = Called("meta", 260 + 2_000, ["b"])
    world.calls = [*world.calls, late]
    world.slow = [(100, 300)]
    assert violations(owed, world) == []
    world.slow = [(100, 300), (3_000, 9_000)]
    world.calls = [*world.calls, late._replace(began=260 + 4_000)]
    assert {name for name, _ in violations(owed, world)} == {"I4"}


def without(key: Any) -> Callable[[Any], Any]:
    return lambda there: {name: each for name, each in there.items() if name != key}


def with_(key: Any, value: Any) -> Callable[[Any], Any]:
    return lambda there: type(there)({**there, key: value})


DOCTORED: list[tuple[str, str, str, Callable[[Any], Any]]] = [
    ("I1", "lost", "facts", without("b")),
    ("I1", "doubled", "facts", with_("of nobody", 1)),
    ("I1", "lost", "changes", lambda there: there - Counter(["withdrawn"])),
    ("I1", "doubled", "changes", lambda there: there + Counter(["of nobody"])),
    ("I1", "lost", "cases", without("kept")),
    ("I1", "doubled", "cases", with_("of nobody", Case("open"))),
    ("I1", "lost", "seen", without("kept")),
    ("I1", "lost", "seen", with_("kept", "another@example.com")),
    ("I2", "doubled", "facts", with_("b", 2)),
    ("I2", "doubled", "stored", with_("a", 3)),
    ("I3", "lost", "cells", lambda there: {20_000: {**there[20_000], ("page_view",): (3, 3)}}),
    ("I3", "doubled", "cells", lambda there: {20_000: {**there[20_000], ("page_view",): (3, 5)}}),
    ("I3", "doubled", "cells", lambda there: {20_000: {**there[20_000], (): (4, 4)}}),
    ("I3", "doubled", "cells", with_(19_999, {(): (1, 1)})),
    ("I4", "without_consent", "calls", lambda there: [*there, Called("meta", 260 + 500, ["b"])]),
    ("I4", "without_consent", "calls", lambda there: [*there, Called("meta", 130, ["late"])]),
    ("I4", "without_consent", "calls", lambda there: [*there, Called("meta", 130, ["c"])]),
    ("I4", "without_consent", "calls", lambda there: [*there, Called("x", 900, [], [LEAVES])]),
    ("I4", "without_consent", "calls", lambda there: [*there, Called("x", 9, [], ["anybody"])]),
    ("I4", "without_consent", "facts", with_("unwanted", 1)),
    ("I5", "left_behind", "cases", with_("gone", Case("deleted"))),
    ("I5", "left_behind", "cases", with_("gone", Case("open"))),
    ("I5", "left_behind", "traces", lambda _: ["the ledger has gone"]),
    ("I5", "left_behind", "found", lambda _: ["what a form said in a file"]),
    ("I5", "left_behind", "blind", lambda _: True),
    ("I5", "left_behind", "there", lambda there: there | {("ga4", LEAVES)}),
    ("I6", "doubled", "taken", lambda there: there + Counter([("x", "order")])),
    ("I6", "lost", "taken", lambda there: there - Counter([("ga4", "a")])),
    ("I6", "lost", "fates", with_(("meta", "a"), "uncertain")),
    ("I6", "lost", "fates", with_(("ga4", "a"), "claimed")),
    ("I6", "lost", "fates", without(("ga4", "a"))),
    ("I7", "out_of_order", "states", lambda _: {LEAVES: [2, 1]}),
    ("I7", "out_of_order", "standings", with_((LEAVES, "ads"), "given")),
    ("I7", "out_of_order", "said", with_("gone", ["open", None, "open"])),
    ("I8", "lost", "behind", lambda _: {"load of tracking-anonymised": 1}),
    ("I9", "lost", "rejects", without("t:0:7")),
    ("I9", "lost", "rejects", with_("t:0:8", "malformed")),
    ("I9", "lost", "lying", lambda _: frozenset()),
    ("I10", "left_behind", "logged", lambda _: ["somebody in worker.log"]),
]


@pytest.mark.parametrize(
    ("invariant", "kind", "field", "doctor"),
    DOCTORED,
    ids=[f"{number}-{each[0]}-{each[2]}" for number, each in enumerate(DOCTORED)],
)
def test_what_is_wrong_is_counted(
    owed: Owed, world: World, invariant: str, kind: str, field: str, doctor: Callable[[Any], Any]
) -> None:
    doctored = replace(world, **{field: doctor(getattr(world, field))})
    assert (invariant, kind) in {(name, each.kind) for name, each in violations(owed, doctored)}


def test_over_midnight_a_visitor_may_have_two_hashes_and_no_more(world: World) -> None:
    change = {"change_id": "next", "visitor": "x", "purpose": "ads", "decision": "given"}
    owed = Owed([*told(), *both(DAY_MS, Kind.CONSENT, change, {**change, "epoch": 1})])
    world = replace(
        world,
        changes=world.changes + Counter(["next"]),
        standings={**world.standings, ("x", "ads"): "given"},
    )

    def shown(visitors: int, events: int) -> list[tuple[str, Violation]]:
        cell = {**world.cells[20_000], (): (visitors, events)}
        return violations(owed, replace(world, cells={20_000: cell}))

    assert not shown(3, 4)
    assert not shown(6, 4)
    assert [each.kind for _, each in shown(7, 4)] == ["doubled"]
    assert [each.kind for _, each in shown(2, 4)] == ["lost"]
    assert [each.kind for _, each in shown(4, 5)] == ["doubled"]


def test_what_may_have_been_taken_is_not_lost_where_it_cannot_be_sent_again(
    owed: Owed, world: World
) -> None:
    fates = with_(("ga4", "a"), "uncertain")(world.fates)
    assert violations(owed, replace(world, fates=fates)) == []


def test_a_violation_is_laid_at_the_fault_of_its_time(owed: Owed, world: World) -> None:
    doctored = replace(world, facts=without("b")(world.facts), behind={"a lane": 2})
    found = [each for _, each in violations(owed, doctored)]
    episodes = [Episode("cut", 50), Episode("kill", 105, 120, "a note"), Episode("cut", 350)]
    made = {}
    for each in rows(owed, found, episodes, seed=7, upto=3):
        made.setdefault(each.fault, []).append(each)
    assert [(each.lost, each.in_flight) for each in made["cut"]] == [(0, 1), (0, 4)]
    (kill,) = made["kill"]
    assert (kill.lost, kill.in_flight, kill.note, kill.seed, kill.upto) == (1, 6, "a note", 7, 3)
    (whole,) = made["the whole run"]
    assert whole.lost >= 2, "and what belongs to none at the whole run"
    assert [each.in_flight for each in made["sent twice"]] == [1]


def test_what_was_tried_and_not_acknowledged_is_not_owed(world: World) -> None:
    lines = [*told(), Line(700, Kind.EVENT, acked=False, items=[visit("doubtful", "x", None)])]
    assert not violations(Owed(lines), world), "lost"
    cell = dict.fromkeys(world.cells[20000], (4, 5))
    kept = replace(
        world,
        facts={**world.facts, "doubtful": 1},
        stored={**world.stored, "doubtful": 1},
        loadable={**world.loadable, "doubtful": 1},
        cells={20_000: cell},
    )
    assert not violations(Owed(lines), kept), "nor is it wrong that it is there"
