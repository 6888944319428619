"""What a site meets at ``/v1/forms/{service}``, and what is kept of a form (S1, S2)."""

import asyncio
import json
from typing import Any

import pytest
from prometheus_client import generate_latest
from sqlalchemy import insert, select, update

from sinks.keys.keks import Keks
from sinks.keys.seal import unseal
from sinks.keys.vault import Vault
from sinks.ledger import tables
from sinks.ledger.ledger import Ledger
from streams.collector.forms import FORGET_AFTER_MS, Forms
from streams.metrics import REGISTRY

PATH = "/v1/forms/sample-request"
SHOP = "https://shop.example"
FIELDS = {"last_name": "Zoë Canary-Smit", "email": "Zoe.Canary@example.com", "size": "large"}
KEY = "3f9c1a7e-form"
FORM = {"fields": FIELDS, "language": "nl", "idempotency_key": KEY}
MINUTE = 60_000


def rows(ledger: Ledger, table: Any) -> list[Any]:
    with ledger.reading() as connection:
        return list(connection.execute(select(table)).mappings())


def opened(entrance: Any, form: dict[str, Any], department: str = "sales") -> dict[str, str]:
    case_id = form["case_id"]
    with entrance.ledger.reading() as connection:
        keys = Vault(Keks.under(entrance.secrets)).open(connection, [case_id], department)
    return unseal(keys[case_id], form["sealed"], site=form["site"], case_id=case_id)


def delete(ledger: Ledger, case_id: str) -> None:
    row = {
        "deletion_id": "d-1", "case_id": case_id, "service": "sample-request", "departments": [],
        "holders": [], "cause": "delivered", "cause_id": "e-1", "requested_at": 1, "deadline": 2,
    }  # fmt: skip
    with ledger.transaction() as connection:
        connection.execute(insert(tables.deletions), [row])


async def test_s2_a_form_is_sealed_before_the_broker_has_it(entrance: Any) -> None:
    response = await entrance.send(FORM, path=PATH)
    assert response.status == 202
    (form,) = entrance.forms
    assert await response.json() == {"case_id": form["case_id"]}
    (stored,) = entrance.publisher.stored
    assert (stored[0], stored[1].key) == ("form-submissions", form["case_id"].encode())
    assert b"canary" not in stored[1].value.lower()
    assert (form["service"], form["site"], form["language"]) == (
        "sample-request",
        "shop.example",
        "nl",
    )
    assert form["settings"] == {"size": "large"}
    personal = {name: FIELDS[name] for name in ("last_name", "email")}
    assert opened(entrance, form, "sales") == opened(entrance, form, "marketing") == personal
    assert {row["department"] for row in rows(entrance.ledger, tables.case_keys)} == {
        "marketing",
        "sales",
        "rights",
    }


async def test_s1_a_form_that_lacks_a_mandatory_field_is_refused_by_its_name(entrance: Any) -> None:
    """Nothing of it is half-stored: neither on the broker nor in the ledger."""
    response = await entrance.send({**FORM, "fields": {"email": "a@example.com"}}, path=PATH)
    assert response.status == 422
    assert (await response.json())["problems"] == [
        {"index": None, "field": "last_name", "rule": "is missing"}
    ]
    assert not entrance.publisher.stored
    assert not rows(entrance.ledger, tables.case_keys)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({**FORM, "fields": {**FIELDS, "email": "secret value"}}, "email"),
        ({**FORM, "fields": {**FIELDS, "size": "secret value"}}, "size"),
        ({**FORM, "fields": {**FIELDS, "shoe_size": "secret value"}}, "shoe_size"),
        ({**FORM, "fields": {**FIELDS, "secret value": 1}}, "(a field)"),
        ({**FORM, "idempotency_key": "secret value"}, "idempotency_key"),
        ({**FORM, "group": "secret"}, "group"),
        ({**FORM, "further_processing": {"notice_id": "secret"}}, "further_processing"),
        ({**FORM, "fields": {**FIELDS, "attachment": "secret"}}, "attachment"),
        ({"fields": None}, "fields"),
        ({}, "fields"),
        (["secret"], "form"),
        ("secret", "form"),
    ],
)
async def test_s1_what_is_wrong_is_named_without_its_value(
    entrance: Any, form: object, field: str
) -> None:
    response = await entrance.send(form, path=PATH)
    text = await response.text()
    assert response.status == 422
    assert field in [problem["field"] for problem in json.loads(text)["problems"]]
    assert "secret" not in text
    assert not entrance.publisher.stored
    assert not rows(entrance.ledger, tables.case_keys)


async def test_files_are_refused_clearly(entrance: Any) -> None:
    response = await entrance.send(
        b"--x--", path=PATH, Content_Type="multipart/form-data; boundary=x"
    )
    assert response.status == 415
    assert "forms take no files" in (await response.json())["error"]


@pytest.mark.parametrize("path", ["/v1/forms/secret-service", "/v1/forms/%20", "/v1/forms/news"])
async def test_a_service_nobody_named_is_not_found_and_no_other_told(
    entrance: Any, path: str
) -> None:
    response = await entrance.send(FORM, path=path, Origin=SHOP)
    text = await response.text()
    assert response.status == 404
    assert response.headers["Access-Control-Allow-Origin"] == SHOP
    assert "secret" not in text
    assert "sample" not in text


async def test_without_a_policy_there_are_no_services(enter: Any) -> None:
    entrance = await enter(policy=None)
    assert (await entrance.send(FORM, path=PATH)).status == 404


async def test_a_form_sent_again_is_the_same_case_under_the_same_key(entrance: Any) -> None:
    first, again = [await entrance.send(FORM, path=PATH) for _ in range(2)]
    assert await first.json() == await again.json()
    one, other = entrance.forms
    assert opened(entrance, one) == opened(entrance, other)
    assert one["sealed"] != other["sealed"], "each nonce is used once"
    assert len(rows(entrance.ledger, tables.case_keys)) == 3


@pytest.mark.parametrize(
    ("more", "path", "key"),
    [
        ({"idempotency_key": "another-key"}, PATH, "shop-key"),
        ({"idempotency_key": None}, PATH, "shop-key"),
        ({}, PATH, "blog-key"),
        ({"fields": {"email": "a@example.com"}}, "/v1/forms/newsletter", "shop-key"),
    ],
)
async def test_another_key_site_or_service_is_another_case(
    entrance: Any, more: dict[str, Any], path: str, key: str
) -> None:
    await entrance.send(FORM, path=PATH)
    assert (await entrance.send({**FORM, **more}, path=path, key=key)).status == 202
    one, other = entrance.forms
    assert one["case_id"] != other["case_id"]


async def test_forms_without_a_key_are_each_their_own(entrance: Any) -> None:
    for _ in range(2):
        await entrance.send({"fields": FIELDS}, path=PATH)
    assert len({form["case_id"] for form in entrance.forms}) == 2


async def test_one_address_is_one_subject_and_no_address_none(entrance: Any) -> None:
    for spelling in ("Zoe@example.com", "zoe@EXAMPLE.com"):
        await entrance.send({"fields": {**FIELDS, "email": spelling}}, path=PATH)
    survey = {"fields": {"answer": "yes"}, "group": "spring"}
    await entrance.send(survey, path="/v1/forms/survey")
    one, other, none = [form["subject"] for form in entrance.forms]
    assert one == other
    assert one
    assert none is None


async def test_s7_a_consent_to_further_processing_goes_with_its_notice(entrance: Any) -> None:
    notice = {"notice_id": "research", "notice_version": "2"}
    body = {"fields": {"answer": "yes"}, "group": "spring", "further_processing": notice}
    assert (await entrance.send(body, path="/v1/forms/survey")).status == 202
    (form,) = entrance.forms
    assert (form["group"], form["further"]) == ("spring", notice)


async def test_s3_a_deleted_form_stays_deleted(entrance: Any) -> None:
    case_id = (await (await entrance.send(FORM, path=PATH)).json())["case_id"]
    with entrance.ledger.transaction() as connection:
        connection.execute(tables.case_keys.delete())
    delete(entrance.ledger, case_id)
    response = await entrance.send(FORM, path=PATH)
    assert response.status == 410
    assert "deleted" in (await response.json())["error"]
    assert len(entrance.forms) == 1
    assert not rows(entrance.ledger, tables.case_keys)


@pytest.mark.parametrize("lost", ["keks/sales", "keks/rights", "subject-key", "ledger"])
async def test_without_keys_or_ledger_nothing_is_stored(
    entrance: Any, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if lost == "ledger":
        with entrance.ledger.transaction() as connection:
            connection.exec_driver_sql("ALTER TABLE case_keys RENAME TO elsewhere")
    else:
        (entrance.secrets / lost).unlink()
    response = await entrance.send(FORM, path=PATH)
    assert (response.status, response.headers["Retry-After"]) == (503, "5")
    assert not entrance.publisher.stored
    if lost != "ledger":
        assert not rows(entrance.ledger, tables.case_keys)
    told = capsys.readouterr()
    assert "canary" not in (await response.text() + told.out + told.err).lower()


async def test_what_the_broker_did_not_store_is_not_acknowledged(entrance: Any) -> None:
    entrance.publisher.available = False
    assert (await entrance.send(FORM, path=PATH)).status == 503
    entrance.publisher.available = True
    assert (await entrance.send(FORM, path=PATH)).status == 202
    assert opened(entrance, entrance.forms[0])["email"] == FIELDS["email"]


@pytest.mark.parametrize(
    ("key", "origin", "status"),
    [
        ("shop-key", SHOP, 202),
        ("shop-key", None, 202),
        ("shop-key", "https://blog.example", 403),
        ("no-key", SHOP, 401),
        (None, None, 401),
    ],
)
async def test_keys_and_origins_are_those_of_events(
    entrance: Any, key: str | None, origin: str | None, status: int
) -> None:
    response = await entrance.send(FORM, path=PATH, key=key, Origin=origin)
    assert response.status == status
    assert len(entrance.forms) == (status == 202)


async def test_a_page_may_send_a_form_with_its_key(entrance: Any) -> None:
    response = await entrance.client.options(
        PATH, headers={"Origin": SHOP, "Access-Control-Request-Method": "POST"}
    )
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Methods"] == "POST"


async def test_bodies_and_rates_are_bounded_like_those_of_events(enter: Any) -> None:
    entrance = await enter(max_body=1_000, rate=0.001, burst=4)
    body = json.dumps(FORM).encode()
    assert (await entrance.send(body.ljust(1_001), path=PATH)).status == 413
    assert (await entrance.send(body, path=PATH, Content_Type="text/html")).status == 415
    assert (await entrance.send(b'{"a":1,"a":2}', path=PATH)).status == 400
    assert (await entrance.send(body, path=PATH)).status == 202
    assert (await entrance.send(body, path=PATH)).status == 429


async def test_forms_are_counted_by_service_and_outcome_alone(entrance: Any) -> None:
    def counted(outcome: str) -> float:
        labels = {"service": "sample-request", "outcome": outcome}
        return REGISTRY.get_sample_value("lethe_collector_forms_total", labels) or 0.0

    before = [counted(each) for each in ("accepted", "contract")]
    await entrance.send(FORM, path=PATH)
    await entrance.send({"fields": {"email": "canary"}}, path=PATH)
    await entrance.send(FORM, path="/v1/forms/canary")
    assert [counted(each) for each in ("accepted", "contract")] == [each + 1 for each in before]
    assert b"canary" not in generate_latest(REGISTRY).lower()


async def test_a_key_whose_case_never_came_is_shredded(entrance: Any) -> None:
    """One whose case came stays, and so does one whose form may be on its way."""
    await entrance.send(FORM, path=PATH)
    await entrance.send({**FORM, "idempotency_key": "came-all-right"}, path=PATH)
    _, came = [form["case_id"] for form in entrance.forms]
    case = {
        "case_id": came, "service": "sample-request", "site": "shop.example", "state": "open",
        "received_at": 1, "changed_at": 1, "key_version": 1, "sealed": {}, "settings": {},
    }  # fmt: skip
    with entrance.ledger.transaction() as connection:
        connection.execute(insert(tables.cases), [case])
    forget = Forms({}, entrance.ledger, Vault(Keks.under(entrance.secrets)), bytes).forget_orphans

    forget(entrance.now[0] + FORGET_AFTER_MS)
    assert len(rows(entrance.ledger, tables.case_keys)) == 6
    forget(entrance.now[0] + FORGET_AFTER_MS + MINUTE)
    assert {row["case_id"] for row in rows(entrance.ledger, tables.case_keys)} == {came}


async def test_an_orphan_is_forgotten_while_the_collector_runs(enter: Any) -> None:
    entrance = await enter()
    await entrance.send(FORM, path=PATH)
    with entrance.ledger.transaction() as connection:
        connection.execute(update(tables.case_keys).values(made_at=0))
    again = await enter()  # on the same ledger
    for _ in range(2_000):
        if not rows(again.ledger, tables.case_keys):
            break
        await asyncio.sleep(0.01)
    assert not rows(again.ledger, tables.case_keys)
