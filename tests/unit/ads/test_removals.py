"""What each provider is asked after a withdrawal, against its stand-in. Nobody is real."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from lethe.standins.desk import Desk, Removal
from lethe.standins.server import serving
from privacy.ads import KEEPING, AdEvent, Contact
from sinks.ads import ga4, google_ads, linkedin, meta, x
from sinks.ads.contract import Connector, Outcome, Response, Verdict
from sinks.ads.hashing import member

NOW = 1_795_424_460_000
LONG_AGO = NOW - 400 * 86_400_000
SITE = "shop.example"
SENT = AdEvent("evt-1", SITE, "c-1", NOW, 3)
PERSON = Contact("ann@example.com", "+31205550100", "Ann", "Other", "NL", "1000 AA")
CLIENT = {"ga_client_id": "c1.1700000000"}
HASHED = sha256(b"ann@example.com").hexdigest()
PSEUDONYM = member(SITE, "c-1")


class Provider(NamedTuple):
    """A connector for stand-ins at a base URL, what is sent by it, and what its removal does."""

    connector: Callable[[str], Connector]
    sent: AdEvent
    target: str
    whom: str
    forever: AdEvent | None  # what cannot be taken back


PROVIDERS = {
    "ga4": Provider(
        lambda url: ga4.GA4(
            ga4.Account({SITE: ga4.Stream("G-SHOP1", "77")}, f"{url}/ga4", f"{url}/ga4"),
            lambda _: "ga4-secret",
            lambda: "google-token",
        ),
        replace(SENT, page="https://shop.example/tea", ids={**CLIENT, "fbp": "fb.1.1.1"}),
        "77",
        "c1.1700000000",
        None,
    ),
    "google-ads": Provider(
        lambda url: google_ads.GoogleAds(
            google_ads.Account({SITE: "1"}, terms_accepted=True, base_url=f"{url}/google-ads"),
            lambda: "google-token",
        ),
        replace(SENT, audience="6001", contact=PERSON),
        "6001",
        HASHED,
        replace(SENT, conversion="987", ids={"gclid": "click"}),
    ),
    "linkedin": Provider(
        lambda url: linkedin.LinkedIn(
            linkedin.Account(f"{url}/linkedin"), lambda: "linkedin-token"
        ),
        replace(SENT, audience="77", contact=PERSON),
        "77",
        HASHED,
        replace(SENT, conversion="123", ids={"li_fat_id": "00000000-0000-4000-8000-000000000001"}),
    ),
    "meta": Provider(
        lambda url: meta.Meta(
            meta.Account({SITE: "1234"}, base_url=f"{url}/meta"), lambda: "meta-token"
        ),
        replace(SENT, audience="6001", contact=PERSON, ids={"fbp": "fb.1.1795424000000.1"}),
        "6001",
        PSEUDONYM,
        replace(
            SENT,
            page="https://shop.example/tea",
            ids={"fbp": "fb.1.1795424000000.1"},
            user_agent="Mozilla/5.0 (Example)",
        ),
    ),
    "x": Provider(
        lambda url: x.X(
            x.Account({SITE: "o8z6j"}, "18ce54d4x5t", f"{url}/x"),
            lambda: x.OAuth("x-consumer-key", "x-consumer-secret", "x-token", "x-token-secret"),
        ),
        replace(SENT, audience="1nmth", ids={"twclid": "2-abc"}),
        "1nmth",
        PSEUDONYM,
        replace(SENT, conversion="o87ne", ids={"twclid": "2-abc"}),
    ),
}


@pytest.fixture(params=PROVIDERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def provider(name: str) -> Provider:
    return PROVIDERS[name]


@pytest.fixture
def connector(provider: Provider) -> Connector:
    return provider.connector("http://127.0.0.1:1")


@pytest.fixture
def desk() -> Desk:
    return Desk(clock=lambda: NOW / 1000)


@pytest.fixture
async def url(desk: Desk) -> AsyncIterator[str]:
    async with serving(desk, "127.0.0.1", 0) as url:
        yield url


def recalled(removal: AdEvent | None) -> AdEvent:
    """Return a removal with what the ledger remembers of it, a long time later."""
    assert removal is not None
    kept = {
        each: getattr(removal, each) for each in ("site", "visitor", "ids", "audience", "epoch")
    }
    return AdEvent(event_id="removal-1", occurred_at=LONG_AGO, member=False, **kept)


async def tell(connector: Connector, events: Sequence[AdEvent], nonce: str) -> Outcome:
    """Send events as one request and return how the connector judges the answer."""
    request = connector.build_request(events, NOW, nonce)
    async with aiohttp.request(
        request.method,
        request.url,
        data=request.body,
        headers=request.headers,
        params=request.secret_query,
    ) as answer:
        headers = {key.lower(): value for key, value in answer.headers.items()}
        came = Response(answer.status, headers, await answer.read())
    return connector.read_response(came, len(events))


async def test_who_was_told_of_is_removed_however_often_it_is_asked(
    name: str, provider: Provider, url: str, desk: Desk
) -> None:
    connector = provider.connector(url)
    done = Verdict.ACCEPTED if name == "google-ads" else Verdict.DELIVERED
    assert (await tell(connector, [provider.sent], "n-1")).verdict == done
    taken = dict(desk.taken)
    assert sum(taken.values()) == 1
    assert not desk.removed
    removal = recalled(connector.removal(provider.sent))
    assert connector.refusal(removal, NOW) is None
    for times in (1, 2):
        assert (await tell(connector, [removal], f"r-{times}")).verdict == done
        assert desk.removed == {(name, Removal(provider.target, provider.whom)): times}
    assert desk.taken == taken


def test_a_removal_carries_what_it_needs_and_nothing_else(
    name: str, provider: Provider, connector: Connector
) -> None:
    removal = connector.removal(provider.sent)
    assert removal is not None
    assert (removal.site, removal.visitor, removal.epoch) == (SITE, "c-1", 3)
    assert removal.audience == provider.sent.audience
    assert not removal.member
    empty = [each.name for each in fields(removal) if getattr(removal, each.name) is None]
    assert {"page", "conversion", "user_agent", "contact"} <= set(empty)
    needed = {"ga4": CLIENT, "linkedin": {"SHA256_EMAIL": HASHED}, "meta": {}, "x": {}}
    assert removal.ids == needed.get(name, removal.ids)
    assert not {"ann@example.com", "+31205550100", "ann", "other"} & set(removal.ids.values())


def test_a_removal_shares_no_request_with_what_it_undoes(
    provider: Provider, connector: Connector
) -> None:
    removal = recalled(connector.removal(provider.sent))
    assert connector.group(removal) != connector.group(provider.sent)
    assert connector.group(removal) == connector.group(replace(removal, occurred_at=NOW))


def test_what_cannot_be_taken_back_has_no_removal(
    name: str, provider: Provider, connector: Connector
) -> None:
    assert (provider.forever is not None) == (name in KEEPING)  # which people are told
    if provider.forever is None:
        return  # it deletes a client with everything
    assert connector.refusal(provider.forever, NOW) is None
    assert connector.removal(provider.forever) is None


def test_what_a_provider_keeps_is_told_to_people(connector: Connector) -> None:
    text = " ".join((Path(__file__).parents[3] / "docs/ads.md").read_text().split())
    assert connector.keeps in text


def test_clients_are_deleted_one_a_request() -> None:
    connector = PROVIDERS["ga4"].connector("http://127.0.0.1:1")
    visit = PROVIDERS["ga4"].sent
    other = replace(visit, ids={"ga_client_id": "c2.1700000000"})
    join = replace(visit, page=None, audience="tea-drinkers")
    removals = [recalled(connector.removal(each)) for each in (visit, join, other)]
    assert removals[0] == removals[1]  # joining a group ends with the client as well
    assert len({connector.group(each) for each in removals}) == 2


async def test_a_whole_postal_address_is_removed_as_it_was_told(url: str, desk: Desk) -> None:
    """And a part of one, by which nobody was known, is not kept."""
    provider = PROVIDERS["google-ads"]
    connector = provider.connector(url)
    whole = connector.removal(provider.sent)
    assert whole is not None
    assert set(whole.ids) == {
        "emailAddress", "phoneNumber", "givenName", "familyName", "regionCode", "postalCode",
    }  # fmt: skip
    await tell(connector, [provider.sent], "n-1")
    await tell(connector, [recalled(whole)], "r-1")
    entered, left = (call.content["audienceMembers"][0]["userData"] for call, _ in desk.calls)
    assert entered == left
    part = replace(provider.sent, contact=replace(PERSON, postal_code=None))
    removal = connector.removal(part)
    assert removal is not None
    assert set(removal.ids) == {"emailAddress", "phoneNumber"}


@pytest.mark.parametrize("name", ["google-ads", "linkedin"])
def test_a_removal_without_what_names_a_member_is_refused(connector: Connector) -> None:
    removal = replace(SENT, audience="77", member=False, ids={"gclid": "click"})
    assert connector.refusal(removal, NOW) == "no_identifier"
