"""``GET /v1/profile``: what a site is told of a visitor who agreed; of others, nothing (S12)."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from jsonschema import validate

from privacy.consent import RESTRICTION, Decision
from privacy.durations import DAY_MS
from privacy.policy import Profiles
from privacy.profile import City, pseudonym
from sinks.keys.keks import KeyStoreError
from sinks.ledger import consents, profiles
from sinks.ledger.consents import ConsentChange
from sinks.ledger.ledger import Ledger
from sinks.ledger.profiles import Seen, Signs
from streams.collector.door import Door
from streams.collector.openapi import document
from streams.collector.profile import EMPTY, ProfileRoute
from streams.profiles import relate
from streams.settings import Site, load

SITE, NOW = "shop.example", 1_795_000_000_000
TODAY = NOW // DAY_MS
KEYS = [b"k" * 32]
RULES = Profiles.model_validate(
    {
        "purpose": "suggest",
        "interests": {
            "tea": {"title": "Tea", "pages": ["/tea*"]},
            "wine": {"title": "Wine", "pages": ["/wine*"]},
        },
        "contacts": {
            "cellar": {"title": "Cellar", "contact": "cellar@example.com", "interests": ["wine"]}
        },
        "content": {"pages": ["/tea/guide", "/wine/guide"]},
    }
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    yield opened
    opened.close()


def key() -> bytes:
    if not KEYS:
        raise KeyStoreError("no key")
    return KEYS[0]


@pytest.fixture
async def client(ledger: Ledger, tmp_path: Path) -> AsyncIterator[TestClient[Any, Any]]:
    settings = load(data_dir=tmp_path, sites={SITE: Site(keys=["key"], origins=[])})
    app = web.Application()
    app.add_routes(ProfileRoute(RULES, ledger, key, lambda: NOW).routes(Door(settings)))
    async with TestClient(TestServer(app)) as made:
        yield made


def visit(ledger: Ledger, visitor: str, days: int, *interests: str) -> None:
    whose = pseudonym(KEYS[0], SITE, visitor)
    cities = [Seen(whose, City("BE", "Gent"), TODAY - day) for day in range(days)]
    with ledger.transaction() as connection:
        profiles.add(connection, Signs(cities, {Seen(whose, name, TODAY): 1 for name in interests}))


def decide(ledger: Ledger, visitor: str, *decided: tuple[str, Decision]) -> None:
    changes = [
        ConsentChange(
            SITE, visitor, offset, 0, f"c-{offset}", purpose, decision, None, None, None, "api",
            1, 2,
        )
        for offset, (purpose, decision) in enumerate(decided)
    ]  # fmt: skip
    with ledger.transaction() as connection:
        consents.record(connection, changes, ads=())


async def ask(client: TestClient[Any, Any], visitor: str) -> tuple[int, Any]:
    response = await client.get("/v1/profile", params={"cookie_id": visitor, "key": "key"})
    return response.status, await response.json()


async def test_a_visitor_who_agreed_has_cities_interests_and_suggestions(
    client: TestClient[Any, Any], ledger: Ledger
) -> None:
    visit(ledger, "mine", 3, "tea")
    for number in range(10):
        visit(ledger, f"other-{number}", 2, "tea", "wine")
    relate(ledger, RULES, NOW)
    decide(ledger, "mine", ("suggest", Decision.GIVEN))
    assert await ask(client, "mine") == (
        200,
        {
            "cities": [{"country": "BE", "city": "Gent"}],
            "interests": [{"name": "tea", "title": "Tea"}],
            "content": ["/tea/guide", "/wine/guide"],
            "contacts": [{"title": "Cellar", "contact": "cellar@example.com"}],
        },
    )
    schemas = document(1, profiles=True)["components"]["schemas"]
    validate((await ask(client, "mine"))[1], schemas["Profile"])
    decide(ledger, "other-1", ("suggest", Decision.GIVEN))
    assert (await ask(client, "other-1"))[1]["cities"] == []  # two days are not enough


@pytest.mark.parametrize(
    "decided",
    [
        [],
        [("ads", Decision.GIVEN)],
        [("suggest", Decision.REFUSED)],
        [("suggest", Decision.GIVEN), ("suggest", Decision.WITHDRAWN)],
        [("suggest", Decision.GIVEN), (RESTRICTION, Decision.GIVEN)],
    ],
)
async def test_without_a_consent_in_force_the_answer_is_that_of_a_stranger(
    client: TestClient[Any, Any], ledger: Ledger, decided: list[tuple[str, Decision]]
) -> None:
    visit(ledger, "mine", 3, "tea")
    if decided:
        decide(ledger, "mine", *decided)
    assert await ask(client, "mine") == await ask(client, "nobody") == (200, EMPTY)


async def test_one_visitor_is_asked_for_with_the_sites_key(client: TestClient[Any, Any]) -> None:
    assert (await client.get("/v1/profile?cookie_id=a")).status == 401
    assert (await client.get("/v1/profile?key=key")).status == 422
    assert (await client.get("/v1/profile?key=key&cookie_id=a&cookie_id=b")).status == 422
    assert (await client.options("/v1/profile?key=key")).status == 204


async def test_what_cannot_be_known_is_not_guessed(
    client: TestClient[Any, Any], ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(f"{__name__}.KEYS", [])
    assert (await ask(client, "mine"))[0] == 503
    monkeypatch.undo()
    ledger.close()
    (tmp_path / "ledger.db").write_bytes(b"no database" * 100)
    assert (await ask(client, "mine"))[0] == 503
