"""Who gets which keys over HTTP, and what is written down of it (S2)."""

import asyncio
import json
import os
import stat
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from privacy.policy import Policy
from sinks.ledger import keys
from sinks.ledger.keys import Use
from sinks.ledger.ledger import Ledger
from streams.keys.app import MOST, KeyServer
from streams.keys.desk import KEPT_MS
from streams.keys.prepare import prepare

NOW = 1_795_510_000_000

Client = Callable[..., Any]
Policies = Callable[..., Policy]
Serve = Callable[..., KeyServer]
Submit = Callable[..., bytes]


def token(secrets: Path, department: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {(secrets / 'departments' / department).read_text()}"}


async def ask(
    client: Any, secrets: Path, department: str, *case_ids: str
) -> dict[str, bytes | None]:
    response = await client.post(
        "/v1/keys", json={"case_ids": case_ids}, headers=token(secrets, department)
    )
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    found = (await response.json())["keys"]
    return {case_id: None if key is None else b64decode(key) for case_id, key in found.items()}


def uses(ledger: Ledger, case_id: str) -> list[Use]:
    with ledger.reading() as connection:
        return keys.uses_of(connection, case_id)


@pytest.fixture
async def client(aiohttp_client: Client, serve: Serve) -> Any:
    return await aiohttp_client(serve().application())


async def test_a_department_gets_its_own_keys_and_that_is_written_down(
    client: Any, secrets: Path, submit: Submit, ledger: Ledger
) -> None:
    sample, both = submit("c-1", "sample"), submit("c-2", "both")
    assert await ask(client, secrets, "marketing", "c-1", "c-2") == {"c-1": sample, "c-2": both}
    assert await ask(client, secrets, "people", "c-2") == {"c-2": both}
    assert uses(ledger, "c-1") == [Use("c-1", "marketing", NOW, "given")]


async def test_another_department_gets_nothing_and_that_is_written_down(
    client: Any, secrets: Path, submit: Submit, ledger: Ledger
) -> None:
    submit("c-1", "sample")
    assert await ask(client, secrets, "people", "c-1") == {"c-1": None}
    assert uses(ledger, "c-1") == [Use("c-1", "people", NOW, "refused")]


async def test_a_department_that_the_policy_no_longer_names_gets_nothing(
    aiohttp_client: Client,
    serve: Serve,
    secrets: Path,
    submit: Submit,
    ledger: Ledger,
    policy_of: Policies,
) -> None:
    submit("c-1", "both")
    changed = policy_of(both=("people",))
    client = await aiohttp_client(serve(changed).application())
    assert await ask(client, secrets, "marketing", "c-1") == {"c-1": None}
    assert uses(ledger, "c-1") == [Use("c-1", "marketing", NOW, "refused")]


async def test_a_department_that_the_policy_names_since_then_gets_nothing(
    aiohttp_client: Client, serve: Serve, secrets: Path, submit: Submit, policy_of: Policies
) -> None:
    submit("c-1", "sample")
    changed = policy_of(sample=("marketing", "people"))
    client = await aiohttp_client(serve(changed).application())
    assert await ask(client, secrets, "people", "c-1") == {"c-1": None}


async def test_what_is_unknown_erased_or_not_a_case_yet_has_no_key(
    client: Any, secrets: Path, submit: Submit, ledger: Ledger
) -> None:
    submit("c-1", "sample")
    submit("c-2", "sample", known=False)
    assert await ask(client, secrets, "marketing", "c-1")
    with ledger.transaction() as connection:
        keys.shred(connection, ["c-1"])
    found = await ask(client, secrets, "marketing", "c-1", "c-2", "c-3")
    assert found == {"c-1": None, "c-2": None, "c-3": None}
    assert len(uses(ledger, "c-1")) == 1
    assert uses(ledger, "c-3") == []


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x",
     "Bearer \udcff"],
)  # fmt: skip
async def test_without_a_departments_token_there_is_nothing(
    client: Any, secrets: Path, submit: Submit, ledger: Ledger, header: str
) -> None:
    submit("c-1", "sample")
    mine = (secrets / "departments" / "marketing").read_text()
    headers = {"Authorization": header.format(token=mine)} if header else {}
    response = await client.post("/v1/keys", json={"case_ids": ["c-1"]}, headers=headers)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert uses(ledger, "c-1") == []


@pytest.mark.parametrize("content", ["", "\n"])
async def test_an_empty_token_file_lets_nobody_in(client: Any, secrets: Path, content: str) -> None:
    (secrets / "departments" / "marketing").write_text(content)
    for header in ("Bearer", "Bearer ", "Bearer \t"):
        response = await client.post(
            "/v1/keys", json={"case_ids": ["c-1"]}, headers={"Authorization": header}
        )
        assert response.status == 401


async def test_a_token_counts_while_its_file_is_there(
    client: Any, secrets: Path, submit: Submit
) -> None:
    submit("c-1", "sample")
    before = token(secrets, "marketing")
    (secrets / "departments" / "marketing").unlink()
    response = await client.post("/v1/keys", json={"case_ids": ["c-1"]}, headers=before)
    assert response.status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b'"c-1"', b"{}", b'{"case_ids": []}', b'{"case_ids": "c-1"}',
        b'{"case_ids": [1]}', b'{"case_ids": ["c 1"]}', b'{"case_ids": ["c\\u0000"]}',
        b'{"case_ids": ["c-1"], "more": 1}', b"\xff", b"[" * 100_000,
        json.dumps({"case_ids": ["c"] * (MOST + 1)}).encode(),
        json.dumps({"case_ids": ["c" * 65]}).encode(),
    ],
    ids=lambda body: str(body[:20]),
)  # fmt: skip
async def test_another_body_is_refused(client: Any, secrets: Path, body: bytes) -> None:
    response = await client.post("/v1/keys", data=body, headers=token(secrets, "marketing"))
    assert response.status == 422
    assert "case_ids" in (await response.json())["error"]


async def test_a_huge_body_is_refused(client: Any, secrets: Path) -> None:
    response = await client.post(
        "/v1/keys", data=b" " * 200_000, headers=token(secrets, "marketing")
    )
    assert response.status == 413


async def test_when_keys_cannot_be_had_that_is_no_answer_about_a_case(
    client: Any, secrets: Path, submit: Submit, ledger: Ledger
) -> None:
    submit("c-1", "sample")
    (secrets / "keks" / "marketing").write_bytes(os.urandom(32))
    response = await client.post(
        "/v1/keys", json={"case_ids": ["c-1"]}, headers=token(secrets, "marketing")
    )
    assert response.status == 503
    assert response.headers["Retry-After"]
    assert uses(ledger, "c-1") == []


async def test_who_asked_is_known_for_13_months(
    aiohttp_client: Client, serve: Serve, ledger: Ledger
) -> None:
    times = {"old": NOW - KEPT_MS - 1, "kept": NOW - KEPT_MS}
    with ledger.transaction() as connection:
        new = [Use(case_id, "marketing", at, "given") for case_id, at in times.items()]
        keys.record_uses(connection, new)
    await aiohttp_client(serve().application())
    for _ in range(2_000):
        if not uses(ledger, "old"):
            break
        await asyncio.sleep(0.01)
    assert not uses(ledger, "old")
    assert uses(ledger, "kept") == [Use("kept", "marketing", NOW - KEPT_MS, "given")]


async def test_its_health_can_be_looked_at(client: Any) -> None:
    ready = await client.get("/readyz")
    assert (ready.status, await ready.json()) == (200, {"ledger": True})
    assert (await client.get("/metrics")).status == 200
    assert (await client.get("/v1/keys")).status == 405


def test_tokens_and_keys_are_made_once_for_their_owner_alone(
    tmp_path: Path, policy_of: Policies
) -> None:
    policy = policy_of(sample=("marketing",))
    made = prepare(tmp_path, policy)
    assert set(made) >= {
        "departments/marketing", "departments/people", "keks/marketing", "keks/people",
        "keks/rights",
    }  # fmt: skip
    assert {stat.S_IMODE((tmp_path / each).stat().st_mode) for each in made} == {0o600}
    contents = {each: (tmp_path / each).read_bytes() for each in made}
    assert len(set(contents.values())) == len(made)
    assert prepare(tmp_path, policy) == []
    assert {each: (tmp_path / each).read_bytes() for each in made} == contents


def test_without_departments_nothing_is_made(tmp_path: Path, policy_of: Policies) -> None:
    nobody = policy_of().model_copy(update={"departments": {}})
    assert prepare(tmp_path, None) == prepare(tmp_path, nobody) == []
    assert list(tmp_path.iterdir()) == []
