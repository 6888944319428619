"""Who gets the keys of people's requests, and of what holders outside are asked (S17 to S21)."""

from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from privacy.policy import Policy
from sinks.keys.vault import Vault
from sinks.ledger import demands, keys, requests, tables
from sinks.ledger.demands import Demand
from sinks.ledger.ledger import Ledger
from sinks.ledger.requests import Request, State
from streams.keys import tokens
from streams.keys.app import KeyServer
from streams.keys.desk import Desk
from streams.keys.prepare import prepare

NOW = 1_795_510_000_000
EVERYBODY = ("marketing", "people", "holder.crm", "holder.files")


@pytest.fixture
def policy(policy_of: Callable[..., Policy], secrets: Path) -> Policy:
    """Return a policy whose people answer requests, and make its keys."""
    given = policy_of(sample=("marketing",)).model_dump(exclude_none=True, mode="json")
    holders = {name: {"title": name, "services": ["sample"]} for name in ("crm", "files")}
    made = Policy.model_validate({**given, "rights": {"department": "people"}, "holders": holders})
    prepare(secrets, made)
    return made


@pytest.fixture
async def client(
    aiohttp_client: Any, policy: Policy, ledger: Ledger, vault: Vault, secrets: Path
) -> Any:
    server = KeyServer(
        Desk(ledger, vault, policy),
        secrets / tokens.FOLDER,
        tokens.readers(policy),
        clock=lambda: NOW,
    )
    return await aiohttp_client(server.application())


async def who_gets(client: Any, secrets: Path, name: str) -> dict[str, bytes]:
    """Return the key as each of EVERYBODY gets it, who does."""
    found = {}
    for each in EVERYBODY:
        token = (secrets / tokens.FOLDER / each).read_text()
        headers = {"Authorization": f"Bearer {token}"}
        response = await client.post("/v1/keys", json={"case_ids": [name]}, headers=headers)
        assert response.status == 200
        if (key := (await response.json())["keys"][name]) is not None:
            found[each] = b64decode(key)
    return found


async def test_s17_a_requests_key_is_for_those_who_answer_it(
    client: Any, ledger: Ledger, vault: Vault, secrets: Path
) -> None:
    """Also where it was wrapped for another department, before the policy changed."""
    asked = Request(
        "r-1", "access", None, "shop.example", "en", None, False, State.CONFIRMED, NOW, NOW, None
    )  # fmt: skip
    with ledger.transaction() as connection:
        key = vault.make(connection, "r-1", EVERYBODY, NOW)
    assert await who_gets(client, secrets, "r-1") == {}, "nobody asked that yet"
    with ledger.transaction() as connection:
        requests.add(connection, asked)
    assert await who_gets(client, secrets, "r-1") == {"people": key}
    with ledger.reading() as connection:
        used = {each.department: each.outcome for each in keys.uses_of(connection, "r-1")}
    assert used == dict.fromkeys(EVERYBODY, "refused") | {"people": "given"}


async def test_s20_a_demands_key_is_for_the_holders_it_is_made_of(
    client: Any, ledger: Ledger, vault: Vault, secrets: Path
) -> None:
    demand = Demand("d-1", "r-1", demands.Kind.EXPORT, "c-1", "sample", ["crm"], NOW, NOW)
    with ledger.transaction() as connection:
        key = vault.make(connection, "d-1", EVERYBODY, NOW)
        demands.add(connection, [demand])
    assert await who_gets(client, secrets, "d-1") == {"holder.crm": key}


async def test_s21_a_held_cases_key_is_for_nobody_until_it_is_lifted(
    client: Any, ledger: Ledger, submit: Callable[..., bytes], secrets: Path
) -> None:
    key = submit("c-1", "sample")
    for hold, found in ((None, {"marketing": key}), ("r-1", {}), (None, {"marketing": key})):
        with ledger.transaction() as connection:
            connection.execute(update(tables.cases).values(held=hold))
        assert await who_gets(client, secrets, "c-1") == found


def test_holders_have_keys_and_tokens_where_people_have_rights(
    policy: Policy, policy_of: Callable[..., Policy], tmp_path: Path
) -> None:
    made = prepare(tmp_path / "other", policy)
    assert {"keks/holder.crm", "departments/holder.crm", "links/1"} <= set(made)
    assert not [each for each in tokens.readers(policy_of(sample=("people",))) if "." in each]
