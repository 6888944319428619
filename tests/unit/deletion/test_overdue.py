from collections.abc import Sequence
from typing import Any

from privacy.certificate import Outcome, Receipt
from schemas.codec import decode
from sinks.ledger import cases, deletion
from sinks.ledger.cases import Deletion
from sinks.ledger.ledger import Ledger
from streams.deletion.overdue import Overdue
from streams.metrics import DELETIONS_OVERDUE

NOW = 1_795_000_000_000
DAY_MS = 86_400_000


def told(broker: Any) -> Sequence[tuple[str, str, int]]:
    alerts = [decode("pipeline_alert", each) for each in broker.values("pipeline-alerts")]
    return [(each["kind"], each["subject"], each["count"]) for each in alerts]


def gauge(holder: str) -> float:
    return float(DELETIONS_OVERDUE.labels(holder)._value.get())


def test_a_holder_that_never_answers_is_reported_once_a_day(
    ledger: Ledger, ask: Any, broker: Any
) -> None:
    for each in ("a", "b"):
        ask(each, ["silent"])
    at = NOW
    watch = Overdue("pipeline-alerts", ledger, broker.producer(), lambda: at)
    watch.look()
    assert (told(broker), gauge("silent")) == ([], 0)
    at = NOW + 1_001  # the deadline is past
    watch.look()
    watch.look()
    assert told(broker) == [("deletion_overdue", "silent", 2)]
    assert gauge("silent") == 2
    at += DAY_MS
    watch.look()
    assert told(broker) == [("deletion_overdue", "silent", 2)] * 2
    ids = {decode("pipeline_alert", each)["id"] for each in broker.values("pipeline-alerts")}
    assert len(ids) == 2


def test_what_the_worker_does_not_get_done_is_reported_after_a_minute(
    ledger: Ledger, broker: Any
) -> None:
    """At whichever of its own steps it is stuck: the key, the files, telling the broker."""
    steps = (deletion.shred, deletion.unreadable, deletion.announced)
    at = NOW
    watch = Overdue("pipeline-alerts", ledger, broker.producer(), lambda: at)
    for done in range(len(steps) + 1):
        case = f"c-{done}"
        new = Deletion(f"d-{done}", case, "samples", [], [], "delivered", "e-1", NOW, NOW + DAY_MS)
        with ledger.transaction() as connection:
            cases.end(connection, [new])
            for step in steps[:done]:
                step(connection, [case], NOW)
    at = NOW + 60_000
    watch.look()
    assert (told(broker), gauge("")) == ([], 0)
    at += 1
    watch.look()
    watch.look()
    assert told(broker) == [("deletion_stuck", "the worker", 3)]
    assert gauge("") == 3


def test_after_a_restart_an_alert_has_the_same_id(ledger: Ledger, ask: Any, broker: Any) -> None:
    ask("a", ["mute"])
    for at in (NOW + 2_000, NOW + 3_000):
        Overdue("pipeline-alerts", ledger, broker.producer(), lambda at=at: at).look()
    first, second = (decode("pipeline_alert", each) for each in broker.values("pipeline-alerts"))
    assert first["id"] == second["id"]
    assert first["at"] < second["at"]


def test_the_gauge_falls_when_nothing_is_overdue_any_more(
    ledger: Ledger, ask: Any, broker: Any, certifier: Any
) -> None:
    watch = Overdue("pipeline-alerts", ledger, broker.producer(), lambda: NOW + 2_000)
    ask("b", ["slow"])
    watch.look()
    assert gauge("slow") == 1
    with ledger.transaction() as connection:
        deletion.receive(connection, [("d-b", Receipt("slow", Outcome.DONE, NOW))])
        certifier.complete(connection, ["d-b"])
    watch.look()
    assert gauge("slow") == 0
