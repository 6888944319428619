"""People we know and people we do not are answered alike: in content, in time, by construction."""

import re
import time
from typing import Any

import pytest
from scipy.stats import mannwhitneyu
from sqlalchemy import event, insert

from privacy.subjects import subject_id
from sinks.keys.intake import subject_key
from sinks.ledger import tables

PATH = "/v1/requests"
PEOPLE = 200  # of each kind
CASES = 5  # of each that is known
PROBABLY_CHANCE = 0.001
VARIES = {"Date", "Content-Length"}
# Of transactions, and the hourly look for keys that nothing came for.
HOUSEKEEPING = r"(?s)PRAGMA|BEGIN|.*\bEXISTS\b"


def known(number: int) -> str:
    return f"known-{number:03}@example.com"


def unknown(number: int) -> str:
    return f"stranger-{number:03}@example.com"


@pytest.fixture
async def busy(enter: Any) -> Any:
    """Return an entrance whose ledger has cases of the people we know."""
    entrance = await enter(rate=1e9, burst=10**9)
    key = subject_key(entrance.secrets)
    rows = [
        {
            "case_id": f"c-{person}-{number}", "service": "newsletter", "site": "shop.example",
            "subject": subject_id(key, known(person)), "state": "open", "received_at": 1,
            "changed_at": 1, "key_version": 1, "sealed": {}, "settings": {},
        }
        for person in range(PEOPLE)
        for number in range(CASES)
    ]  # fmt: skip
    with entrance.ledger.transaction() as connection:
        connection.execute(insert(tables.cases), rows)
    return entrance


async def ask(entrance: Any, email: str) -> tuple[float, Any]:
    """Return the seconds that an answer took, and what it looks like."""
    started = time.perf_counter()
    response = await entrance.send({"right": "access", "email": email}, path=PATH)
    body = await response.text()
    seconds = time.perf_counter() - started
    headers = {name: value for name, value in response.headers.items() if name not in VARIES}
    shape = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", body)
    return seconds, (response.status, shape, len(body), sorted(headers.items()))


async def differ(busy: Any) -> bool:
    """Ask for one and then the other, first in turn, and tell whether they differ in time."""
    took: dict[bool, list[float]] = {True: [], False: []}
    looks = []
    for number in range(PEOPLE):
        for first in (number % 2 == 0, number % 2 == 1):
            seconds, look = await ask(busy, (known if first else unknown)(number))
            took[first].append(seconds)
            looks.append(look)
    assert looks[0][0] == 202
    assert [each for each in looks if each != looks[0]] == []
    return bool(mannwhitneyu(took[True], took[False]).pvalue < PROBABLY_CHANCE)


async def test_s17_an_answer_tells_nothing_of_whom_we_know(busy: Any) -> None:
    """Neither how it looks nor when it comes. What is chance once is not there again."""
    assert not (await differ(busy) and await differ(busy))


async def test_s17_the_ledger_is_asked_for_nobody(busy: Any) -> None:
    """It keeps the request's key, and is told nothing of whose request that is."""
    said: list[tuple[str, str]] = []
    event.listen(
        busy.ledger._engine,
        "before_cursor_execute",
        lambda *each: said.append((each[2], str(each[3]))),
    )
    statements = []
    for email in (known(0), unknown(0)):
        said.clear()
        await ask(busy, email)
        mine = [each for each in said if not re.match(HOUSEKEEPING, each[0])]
        statements.append([each for each, _ in mine])
        subject = subject_id(subject_key(busy.secrets), email)
        assert not [given for _, given in mine if subject in given or email in given]
    assert statements[0] == statements[1]
    assert len(statements[0]) == 3  # the key, for whom it is wrapped, and whether it was deleted
    assert not [each for each in statements[0] if re.search(r"\b(cases|requests|holds)\b", each)]
