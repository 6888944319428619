"""What a site meets at ``/v1/consent``. NOW is the entrance's clock, 2026-11-24T08:46:40Z."""

import json
from typing import Any

import pytest

from privacy.consent import RESERVED, Consent, Decision, Standing, epoch_of
from privacy.consent_request import problems
from streams.collector.consent_store import Chosen, Notice

NOW = 1_795_510_000_000
PATH = "/v1/consent"
SHOP = "https://shop.example"
ID = "5f0c2d0e-9b1d-4c4e-8d53-0f1d3a1f7a11"
CHANGE = {
    "cookie_id": "c-1",
    "purpose": "ads",
    "decision": "given",
    "notice_id": "cookies",
    "notice_version": "2026-10",
}
EVENT = {
    "type": "page_view",
    "cookie_id": "c-1",
    "consent_epoch": 3,
    "ad_ids": {"gclid": "EXAMPLE-gclid"},
}
UNKNOWN = {"notice_id": None, "notice_version": None}
ADS = ["ads", "remarketing"]

each_signal = pytest.mark.parametrize(
    ("header", "signal"), [({"Sec_GPC": "1"}, "gpc"), ({"DNT": "1"}, "dnt")]
)


def said(changes: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [
        tuple(change[name] for name in ("cookie_id", "purpose", "decision", "how"))
        for change in changes
    ]


async def test_a_decision_is_recorded_with_its_proof_and_answered_with_its_epoch(
    entrance: Any,
) -> None:
    await entrance.send({**CHANGE, "cookie_id": "c-0"}, path=PATH)
    proof = {"change_id": ID, "language": "nl-BE", "how": "banner", "occurred_at": NOW - 5}
    response = await entrance.send({**CHANGE, **proof}, path=PATH)
    assert response.status == 202
    assert await response.json() == {
        "recorded": 1,
        "epochs": {"ads": epoch_of(1)},
        "change_ids": [ID],
    }
    change = entrance.changes[1]
    assert (change.pop("occurred_at").timestamp() * 1000) == NOW - 5
    assert (change.pop("received_at").timestamp() * 1000) == NOW
    recorded = CHANGE | proof | {"site": "shop.example"}
    assert change == {name: value for name, value in recorded.items() if name != "occurred_at"}
    topic, message = entrance.publisher.stored[1]
    assert (topic, message.key) == ("consent-changes", b"shop.example|c-1")


@pytest.mark.parametrize("shape", [lambda c: c, lambda c: {"changes": c}])
async def test_several_decisions_are_recorded_in_their_order(entrance: Any, shape: Any) -> None:
    sent = [
        CHANGE,
        {**CHANGE, "purpose": "statistics", "decision": "objected"},
        {**CHANGE, "decision": "withdrawn"},
    ]
    answer = await (await entrance.send(shape(sent), path=PATH)).json()
    assert answer["recorded"] == 3
    assert answer["epochs"] == {"ads": 3, "statistics": 2}
    assert answer["change_ids"] == [change["change_id"] for change in entrance.changes]
    assert len(set(answer["change_ids"])) == 3
    assert [change["decision"] for change in entrance.changes] == ["given", "objected", "withdrawn"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *(({name: None}, name) for name in CHANGE),
        ({"purpose": "newsletter"}, "purpose"),
        ({"purpose": "Secret Value"}, "purpose"),
        ({"decision": "secret-value"}, "decision"),
        ({"cookie_id": "secret value"}, "cookie_id"),
        ({"change_id": "secret-value"}, "change_id"),
        ({"notice_id": "secret value"}, "notice_id"),
        ({"notice_version": "v" * 65}, "notice_version"),
        ({"language": "secret_value"}, "language"),
        ({"how": "secret-value"}, "how"),
        ({"how": "gpc"}, "how"),
        ({"occurred_at": "secret-value"}, "occurred_at"),
        ({"occurred_at": 253_402_300_800_000}, "occurred_at"),
        ({"email": "secret-value"}, "email"),
        ({"secret value": 1}, "(a field)"),
        ({"cookie_id": "c-2"}, "cookie_id"),
    ],
)
async def test_a_breach_of_contract_is_named_without_its_value(
    entrance: Any, change: dict[str, object], field: str
) -> None:
    response = await entrance.send([CHANGE, {**CHANGE, **change}], path=PATH)
    text = await response.text()
    assert response.status == 422
    problems = json.loads(text)["problems"]
    assert [(problem["index"], problem["field"]) for problem in problems] == [(1, field)]
    assert "secret" not in text.lower()
    assert not entrance.changes, "all or nothing"


@pytest.mark.parametrize("wrong_by", [-10 * 365 * 86_400_000, 10 * 365 * 86_400_000])
async def test_no_decision_is_refused_for_the_visitors_clock(entrance: Any, wrong_by: int) -> None:
    change = {**CHANGE, "decision": "withdrawn", "occurred_at": NOW + wrong_by}
    assert (await entrance.send(change, path=PATH)).status == 202


async def test_an_unknown_purpose_is_told_which_there_are(entrance: Any) -> None:
    response = await entrance.send({**CHANGE, "purpose": "newsletter"}, path=PATH)
    (problem,) = (await response.json())["problems"]
    assert "statistics, ads, remarketing" in problem["rule"]


async def test_without_a_policy_there_is_nothing_to_choose(enter: Any) -> None:
    entrance = await enter(policy=None)
    for response in (await entrance.send(CHANGE, path=PATH), await entrance.ask("c-1")):
        assert response.status == 404
        assert "no privacy policy" in (await response.json())["error"]
    assert not entrance.publisher.stored


async def test_nothing_is_acknowledged_that_was_not_stored(entrance: Any) -> None:
    entrance.publisher.available = False
    refused = await entrance.send(CHANGE, path=PATH)
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    entrance.publisher.available = True
    assert (await entrance.send(CHANGE, path=PATH)).status == 202


async def test_an_epoch_the_broker_does_not_tell_is_not_made_up(entrance: Any) -> None:
    entrance.publisher._ends["consent-changes"] = -1
    assert (await entrance.send(CHANGE, path=PATH)).status == 503


@pytest.mark.parametrize(
    ("key", "origin", "status"),
    [
        ("shop-key", SHOP, 202),
        ("shop-key", None, 202),
        ("shop-key", "https://blog.example", 403),
        ("shop-key", "https://evil.example", 403),
        ("no-key", SHOP, 401),
        (None, None, 401),
    ],
)
async def test_keys_and_origins_are_those_of_events(
    entrance: Any, key: str | None, origin: str | None, status: int
) -> None:
    response = await entrance.send(CHANGE, path=PATH, key=key, Origin=origin)
    assert response.status == status
    readable = response.headers.get("Access-Control-Allow-Origin")
    assert readable == (None if status == 403 else origin)
    asked = await entrance.ask(
        "c-1", **({"Origin": origin} if origin else {}), X_Lethe_Key=key or ""
    )
    assert asked.status == (200 if status == 202 else status)
    assert asked.headers.get("Access-Control-Allow-Origin") == readable


async def test_a_page_may_ask_and_record_with_its_key(entrance: Any) -> None:
    response = await entrance.client.options(
        PATH, headers={"Origin": SHOP, "Access-Control-Request-Method": "GET"}
    )
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST"
    assert "X-Lethe-Key" in response.headers["Access-Control-Allow-Headers"]


async def test_bodies_and_rates_are_bounded_like_those_of_events(enter: Any) -> None:
    entrance = await enter(max_body=1_000, rate=0.001, burst=3)
    body = json.dumps(CHANGE).encode()
    assert (await entrance.send(body.ljust(1_001), path=PATH)).status == 413
    assert (await entrance.send(body, path=PATH, Content_Type="text/html")).status == 415
    assert (await entrance.send(body, path=PATH)).status == 202
    for refused in (await entrance.send(body, path=PATH), await entrance.ask("c-1")):
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) >= 1


async def test_asking_costs_a_site_its_rate_too(enter: Any) -> None:
    entrance = await enter(rate=0.001, burst=2, trusted_hops=1)
    asked = [await entrance.ask("c-1", X_Forwarded_For=f"192.0.2.{n}") for n in range(3)]
    assert [response.status for response in asked] == [200, 200, 429]


async def test_what_a_visitor_chose_is_told_for_every_purpose(entrance: Any) -> None:
    standings = {
        "ads": Standing(Decision.GIVEN, 4, ID),
        "statistics": Standing(Decision.OBJECTED, 9, ID),
    }
    notices = {"ads": Notice("cookies", "2026-10"), "statistics": Notice(None, None)}
    entrance.consents.known["shop.example", "c-1"] = Chosen(Consent(9, standings), notices)
    response = await entrance.ask("c-1")
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert await response.json() == {
        "purposes": {
            "statistics": {"answer": "no", "decision": "objected", "since": 9, **UNKNOWN},
            "ads": {
                "answer": "yes",
                "decision": "given",
                "since": 4,
                "notice_id": "cookies",
                "notice_version": "2026-10",
            },
            "remarketing": {"answer": "ask", "decision": None, "since": None, **UNKNOWN},
        },
        "epoch": 9,
    }


@pytest.mark.parametrize("right", RESERVED)
async def test_while_a_right_withholds_a_visitor_every_answer_is_no(
    entrance: Any, right: str
) -> None:
    standings = {each: Standing(Decision.GIVEN, 4, ID) for each in ("ads", right)}
    entrance.consents.known["shop.example", "c-1"] = Chosen(Consent(4, standings))
    told = (await (await entrance.ask("c-1")).json())["purposes"]
    assert {each["answer"] for each in told.values()} == {"no"}
    assert right not in told


@pytest.mark.parametrize("right", RESERVED)
@pytest.mark.parametrize("decision", ["given", "withdrawn"])
async def test_no_entrance_takes_a_right_for_a_purpose(
    entrance: Any, right: str, decision: str
) -> None:
    change = {**CHANGE, "purpose": right, "decision": decision}
    assert (await entrance.send(change, path=PATH)).status == 422
    # The SDK has no policy at hand.
    assert [each.field for each in problems(change)] == ["purpose"]


async def test_a_visitor_nobody_asked_is_to_be_asked(entrance: Any) -> None:
    entrance.consents.known["blog.example", "c-1"] = Chosen(
        Consent(1, {"ads": Standing(Decision.GIVEN, 1, ID)})
    )
    answer = await (await entrance.ask("c-1")).json()
    assert {name: each["answer"] for name, each in answer["purposes"].items()} == {
        "statistics": "yes",  # opt-out: only a no counts
        "ads": "ask",  # and another site's yes does not
        "remarketing": "ask",
    }
    assert answer["epoch"] == 0


async def test_what_is_not_known_is_not_guessed(entrance: Any) -> None:
    entrance.consents.available = False
    response = await entrance.ask("c-1")
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert (await response.json()).keys() == {"error"}


@pytest.mark.parametrize(
    "query", ["", "?cookie_id=", "?cookie_id=a%20b", "?cookie_id=a&cookie_id=b"]
)
async def test_a_visitor_is_named_by_one_cookie_id(entrance: Any, query: str) -> None:
    response = await entrance.client.get(PATH + query, headers={"X-Lethe-Key": "shop-key"})
    assert response.status == 422
    assert [each["field"] for each in (await response.json())["problems"]] == ["cookie_id"]


@each_signal
async def test_under_a_signal_a_yes_to_ads_is_recorded_as_a_no(
    entrance: Any, header: dict[str, str], signal: str
) -> None:
    sent = [CHANGE, {**CHANGE, "purpose": "statistics"}]
    answer = await (await entrance.send(sent, path=PATH, **header)).json()
    assert (answer["recorded"], answer["because"]) == (2, {"ads": signal})
    assert answer["epochs"] == {"ads": 1, "statistics": 2}
    assert said(entrance.changes) == [
        ("c-1", "ads", "refused", signal),
        ("c-1", "statistics", "given", "api"),
        ("c-1", "remarketing", "refused", signal),
    ]
    assert entrance.changes[0]["notice_version"] == "2026-10"


@each_signal
async def test_a_withdrawal_under_a_signal_stays_the_visitors_own(
    entrance: Any, header: dict[str, str], signal: str
) -> None:
    change = {**CHANGE, "decision": "withdrawn", "how": "settings"}
    answer = await (await entrance.send(change, path=PATH, **header)).json()
    assert "because" not in answer
    assert said(entrance.changes) == [
        ("c-1", "ads", "withdrawn", "settings"),
        ("c-1", "remarketing", "refused", signal),
    ]


@each_signal
async def test_under_a_signal_ads_are_answered_no_and_refused_once(
    entrance: Any, header: dict[str, str], signal: str
) -> None:
    standings = {each: Standing(Decision.GIVEN, 1, ID) for each in ("ads", "statistics")}
    entrance.consents.known["shop.example", "c-1"] = Chosen(Consent(1, standings))
    for _ in range(3):
        answer = (await (await entrance.ask("c-1", **header)).json())["purposes"]
        given = {"decision": "given", "since": 1, **UNKNOWN}
        assert answer["ads"] == {"answer": "no", "because": signal, **given}
        assert answer["remarketing"]["because"] == signal
        assert answer["statistics"] == {"answer": "yes", **given}
    assert said(entrance.changes) == [("c-1", each, "refused", signal) for each in ADS]
    assert {change["notice_id"] for change in entrance.changes} == {None}


@each_signal
@pytest.mark.parametrize("policy", ["with", "without"])
async def test_under_a_signal_events_keep_nothing_for_ads(
    entrance: Any, enter: Any, header: dict[str, str], signal: str, policy: str
) -> None:
    entrance = entrance if policy == "with" else await enter(policy=None)
    events = [EVENT, {**EVENT, "cookie_id": "c-2"}, {**EVENT, "cookie_id": None}]
    for _ in range(2):
        assert (await entrance.send(events, **header)).status == 202
    assert len(entrance.events) == 6
    assert {(event["consent_epoch"], event["ad_ids"]) for event in entrance.events} == {
        (None, None)
    }
    assert not any(b"EXAMPLE-gclid" in message.value for _, message in entrance.publisher.stored)
    heard = [(v, each, "refused", signal) for v in ("c-1", "c-2") for each in ADS]
    assert sorted(said(entrance.changes)) == (heard if policy == "with" else [])


@pytest.mark.parametrize("header", [{}, {"Sec_GPC": "0"}, {"DNT": "0"}, {"Sec_GPC": "true"}])
async def test_without_a_signal_nothing_is_refused(entrance: Any, header: dict[str, str]) -> None:
    await entrance.send(EVENT, **header)
    await entrance.ask("c-1", **header)
    answer = await (await entrance.send(CHANGE, path=PATH, **header)).json()
    assert "because" not in answer
    assert entrance.events[0]["consent_epoch"] == 3
    assert said(entrance.changes) == [("c-1", "ads", "given", "api")]


async def test_a_signal_that_goes_on_is_recorded_again_after_an_hour(entrance: Any) -> None:
    """A yes may have come in through another collector meanwhile."""
    for minutes in (0, 59, 61):
        entrance.now[0] = NOW + minutes * 60_000
        await entrance.ask("c-1", Sec_GPC="1")
    assert len(entrance.changes) == 2 * len(ADS)


async def test_a_signal_after_a_yes_is_recorded_at_once(entrance: Any) -> None:
    await entrance.ask("c-1", Sec_GPC="1")
    await entrance.send(CHANGE, path=PATH)
    await entrance.ask("c-1", Sec_GPC="1")
    assert said(entrance.changes)[-2:] == [("c-1", each, "refused", "gpc") for each in ADS]


@pytest.mark.parametrize("how", ["ask", "send"])
async def test_a_signal_that_was_not_stored_is_recorded_with_the_next(
    entrance: Any, how: str
) -> None:
    async def again() -> int:
        request = (
            entrance.ask("c-1", Sec_GPC="1") if how == "ask" else entrance.send(EVENT, Sec_GPC="1")
        )
        return int((await request).status)

    entrance.publisher.available = False
    assert await again() == 503
    entrance.publisher.available = True
    assert await again() in {200, 202}
    assert len(entrance.changes) == len(ADS)
