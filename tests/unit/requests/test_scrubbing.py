"""Of what was taken, or asked of holders, no byte is left in the ledger's files (S17, S20)."""

from pathlib import Path
from typing import Any

from privacy.certificate import Outcome
from privacy.rights.request import Right
from sinks.ledger import answers, demands, requests
from sinks.ledger.answers import Answer
from sinks.ledger.demands import Demand, Kind

DAY_MS = 86_400_000
FOUND = b"invented export of a holder"
FILE = b"invented answer of a request"


def files(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.glob("ledger.db*"))


def test_what_holders_answered_goes_with_the_request(desk: Any, tmp_path: Path) -> None:
    desk.ask("r", Right.ACCESS, cookie="v-1", by="cookie", email=None)
    desk.take_in()
    with desk.ledger.transaction() as connection:
        desk.vault.make(connection, "d", [], desk.now)
        demand = Demand("d", "r", Kind.EXPORT, "c", "samples", ["crm"], desk.now, desk.now)
        demands.add(connection, [demand])
        demands.receive(connection, [("d", "crm", Outcome.DONE, desk.now, FOUND)])
        demands.complete(connection, ["d"], desk.now)
    desk.now += 9 * DAY_MS
    desk.closing.look()
    assert FOUND in files(tmp_path), "the answer is still to be made of it"
    with desk.ledger.transaction() as connection:
        requests.put_plan(connection, "r", [], "granted", [], desk.now, "test")
        requests.answered(connection, ["r"], desk.now)
    desk.now += 9 * DAY_MS
    desk.closing.look()
    assert FOUND not in files(tmp_path)


def test_an_answer_that_was_taken_goes_at_once(desk: Any, tmp_path: Path) -> None:
    desk.closing.look()
    with desk.ledger.transaction() as connection:
        new = Answer("a", "r", "copy.zip", "application/zip", FILE, desk.now, desk.now + DAY_MS)
        answers.put(connection, new)
    with desk.ledger.transaction() as connection:
        assert answers.take(connection, "a", desk.now + 1)
    assert FILE in files(tmp_path)
    desk.now += 1_000
    desk.closing.look()
    assert FILE not in files(tmp_path)
