"""An answer is complete and of nobody else: one person's marked values among 10,000 others'."""

import csv
import io
import json
import re
import tomllib
import zipfile
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, insert

from privacy.certificate import canonical
from privacy.links import answer_id
from privacy.policy import RIGHTS, Policy
from privacy.profile import pseudonym
from privacy.rights.plan import Act, Command
from privacy.rights.request import LANGUAGES, Asked, Ground, Right
from privacy.rights.words import words
from sinks.keys.answers import open_answer
from sinks.keys.demands import seal_held
from sinks.keys.keks import Keks, wrap
from sinks.keys.seal import new_key, seal
from sinks.keys.vault import Vault
from sinks.ledger import answers, requests, tables
from sinks.ledger.ledger import Ledger
from sinks.ledger.requests import Request, State
from sinks.signing import Signer, make_missing, verify
from streams.rights.answers import AnswerActs
from streams.rights.copying import Copier
from streams.rights.doing import Doing, Done

SITE, AT, OTHERS = "shop.example", 1_795_000_000_000, 10_000
PROFILES_KEY, TOKEN = bytes(32), "token-0"
MARK = re.compile(r"mk(\d+)x")


def _mark(person: int, what: str) -> str:
    return f"{what}-mk{person}x"


def _visitor(person: int) -> str:
    # Two people whose cookies have one id, at two sites.
    return _mark(max(person - 1, 0) if person == 1 else person, "cookie")


def _site(person: int) -> str:
    return "other.example" if person == 1 else SITE


class Town:
    """Fills every store with what is held of one person, marked with the person's number."""

    def __init__(self, kek: bytes) -> None:
        self._kek = kek
        self.rows: dict[Table, list[dict[str, Any]]] = {}

    def settle(self, person: int) -> None:
        subject, request = _mark(person, "subject"), _mark(person, "request")
        site, visitor = _site(person), _visitor(person)
        self._case(person, _mark(person, "case"), "samples", {"email": _mark(person, "email")})
        self._case(person, _mark(person, "poll"), "poll", {"name": _mark(person, "name")})
        self._put(tables.unsubscribed, list=_mark(person, "list"), subject=subject, at=AT)
        self._put(tables.suppressed, subject=subject, at=AT, request_id=_mark(person, "earlier"))
        ground = {"ground": _mark(person, "ground"), "since": AT, "kind": "restriction"}
        whose = {"subject": None, "site": None, "visitor": None, "case_id": None}
        of_subject = whose | {"whose": "subject", "subject": subject}
        of_visitor = whose | {"whose": "visitor", "site": site, "visitor": visitor}
        self._put(tables.holds, hold_id=f"h1-{person}", **of_subject, **ground)
        ground["ground"] = _mark(person, "ground2")
        self._put(tables.holds, hold_id=f"h2-{person}", **of_visitor, **ground)
        self._request(person, subject, request)
        self._visits(person, site, visitor)
        self._profile(person, pseudonym(PROFILES_KEY, site, visitor))

    def _request(self, person: int, subject: str, request: str) -> None:
        fields = {
            "right": "access", "ground": None, "site": SITE, "language": "en",
            "has_visitor": 1, "state": "planned", "received_at": AT, "deadline": AT + 1,
        }  # fmt: skip
        for name in (request, _mark(person, "earlier")):
            self._put(tables.requests, request_id=name, subject=subject, **fields)
        ended = {"act": "end_case", "target": _mark(person, "ended"), "number": 0}
        self._put(tables.request_commands, request_id=_mark(person, "earlier"), **ended)
        self._put(
            tables.deletions, deletion_id=_mark(person, "deletion"), case_id=ended["target"],
            service="samples", departments=["care"], holders=["crm"], cause="erasure",
            cause_id=_mark(person, "earlier"), requested_at=AT, deadline=AT, completed_at=AT,
            certificate={"certificate": {"case_id": ended["target"]}},
        )  # fmt: skip
        demand = _mark(person, "demand")
        self._put(
            tables.demands, demand_id=demand, request_id=request, kind="export",
            case_id=_mark(person, "case"), service="samples", holders=["crm"],
            requested_at=AT, deadline=AT,
        )  # fmt: skip
        held = {"phone": _mark(person, "phone"), "orders": [_mark(person, "order")]}
        self._put(
            tables.demand_answers, demand_id=demand, holder="crm", outcome="done", at=AT,
            content=seal_held(self._key(demand), demand, held),
        )  # fmt: skip

    def _visits(self, person: int, site: str, visitor: str) -> None:
        decided = {"decision": "given", "since": 1, "change": "x"}
        self._put(
            tables.consents, site=site, visitor=visitor, epoch=1, spent=[],
            standings={_mark(person, "purpose"): decided},
        )  # fmt: skip
        self._put(
            tables.consent_changes, site=site, visitor=visitor, offset=person, partition=0,
            id="x", purpose="ads", decision="given", notice_id=_mark(person, "notice"),
            notice_version=_mark(person, "version"), language="nl", how="banner",
            occurred_at=AT, recorded_at=AT,
        )  # fmt: skip
        self._put(
            tables.reached, provider="ga4", event_id=f"e-{person}", partition=0, site=site,
            visitor=visitor, audience=_mark(person, "audience"), purpose="ads", epoch=1,
            ids={"client_id": _mark(person, "client")},
        )  # fmt: skip

    def _profile(self, person: int, whose: str) -> None:
        self._put(tables.profiles, pseudonym=whose, last_day=20_000)
        city = {"country": "LU", "city": _mark(person, "city"), "day": 20_000}
        self._put(tables.profile_cities, pseudonym=whose, **city)
        interest = {"interest": _mark(person, "interest"), "weight": 1.0, "last_day": 20_000}
        self._put(tables.profile_interests, pseudonym=whose, **interest)
        said = {"interest": _mark(person, "wanted"), "put_in": 1}
        self._put(tables.profile_corrections, pseudonym=whose, **said)

    def _case(self, person: int, case_id: str, service: str, fields: dict[str, str]) -> None:
        sealed = seal(self._key(case_id), fields, site=SITE, case_id=case_id)
        self._put(
            tables.cases, case_id=case_id, service=service, group_id=_mark(person, "group"),
            site=SITE, subject=_mark(person, "subject"), state="open", language="nl",
            received_at=AT, changed_at=AT, due_at=None, key_version=1,
            sealed={name: b64encode(each).decode() for name, each in sealed.items()},
            settings={"size": _mark(person, "size")},
            further={"notice_id": _mark(person, "further"), "notice_version": "1"}, held=None,
        )  # fmt: skip
        used = {"department": _mark(person, "reader"), "at": AT, "outcome": "given"}
        self._put(tables.key_uses, case_id=case_id, **used)

    def _key(self, of: str) -> bytes:
        key = new_key()
        wrapped = wrap(self._kek, key)
        self._put(tables.case_keys, case_id=of, department=RIGHTS, wrapped=wrapped, made_at=AT)
        return key

    def _put(self, table: Table, **row: Any) -> None:
        self.rows.setdefault(table, []).append(row)


class Visits:
    """A store of facts in which each visitor has one."""

    def __init__(self) -> None:
        self._pages = {
            (_site(person), _visitor(person)): _mark(person, "page") for person in range(OTHERS)
        }

    def of(self, site: str, cookie_id: str) -> Sequence[Mapping[str, Any]]:
        return [{"occurred_at": AT, "page": self._pages[site, cookie_id]}]


# What is no use to the person: our own keyed hashes, of which nothing else is made.
INTERNAL = {_mark(0, "subject"), _mark(0, "demand")}


def _marks(rows: Mapping[Table, Sequence[Mapping[str, Any]]]) -> set[str]:
    text = json.dumps([[str(each) for each in some] for some in rows.values()])
    return set(re.findall(r"[a-z0-9]+-mk0x", text))


@pytest.fixture(scope="module")
def policy() -> Policy:
    text = (Path(__file__).parents[2] / "rights.toml").read_text()
    return Policy.model_validate(tomllib.loads(text))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bundle")
    Keks.under(made).make_missing([RIGHTS, "care"])
    make_missing(made)
    return made


@pytest.fixture(scope="module")
def ledger(folder: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{folder}/ledger.db")
    town = Town(Keks.under(folder).of(RIGHTS)[0])
    for person in range(OTHERS + 1):
        town.settle(person)
    with opened.transaction() as connection:
        for table, rows in town.rows.items():
            connection.execute(insert(table), rows)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def acts(policy: Policy, ledger: Ledger, folder: Path) -> AnswerActs:
    vault = Vault(Keks.under(folder))
    copier = Copier(policy, vault, Visits(), PROFILES_KEY)
    return AnswerActs(policy, ledger, copier, lambda: Signer.under(folder))


def _doing(act: Act, right: Right, token: str, language: str = "en", **more: Any) -> Doing:
    name = "earlier" if act is Act.CERTIFY else "request"
    request = Request(
        request_id=_mark(0, name), right=right, ground=None, site=SITE, language=language,
        subject=_mark(0, "subject"), has_visitor=True, state=State.PLANNED, received_at=AT,
        deadline=AT + 1, sealed=None,
    )  # fmt: skip
    asked = Asked(
        right, Ground.UNLAWFUL if right is Right.ERASURE else None, "anne@example.com",
        SITE, _visitor(0), language, more.get("service"), (), {}, None, None, token,
    )  # fmt: skip
    return Doing(request, asked, bytes(32), Command(act), 0, AT)


def _fetch(ledger: Ledger, token: str) -> bytes:
    with ledger.transaction() as connection:
        found = answers.take(connection, answer_id(token), AT)
    assert found is not None
    assert found.sealed is not None
    assert MARK.search(found.sealed.decode("latin-1")) is None
    return open_answer(token, found.sealed)


def _unpack(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_of_the_person_is_there_and_nothing_of_anybody_else(
    ledger: Ledger, acts: AnswerActs, folder: Path, language: str
) -> None:
    acts.bundle(_doing(Act.BUNDLE, Right.ACCESS, f"{TOKEN}-{language}", language))
    files = _unpack(_fetch(ledger, f"{TOKEN}-{language}"))
    mine = Town(Keks.under(folder).of(RIGHTS)[0])
    mine.settle(0)
    expected = (_marks(mine.rows) | SEALED | {_mark(0, "page")}) - INTERNAL
    page, data = files.pop("answer.html"), files.pop("data.json")
    for text in (page, data, "".join(files.values())):
        assert not {each for each in expected if each not in text}
        assert set(MARK.findall(text)) == {"0"}
    assert words(language).headings.title in page
    assert {name for name in json.loads(data)["data"] if json.loads(data)["data"][name]} == {
        name.removeprefix("csv/").removesuffix(".csv") for name in files
    }
    assert all(len(list(csv.reader(each.splitlines()))) > 1 for each in files.values())


SEALED = {_mark(0, each) for each in ("email", "name", "phone", "order")}


def test_what_is_portable_is_signed(ledger: Ledger, acts: AnswerActs, folder: Path) -> None:
    with ledger.transaction() as connection:
        done = acts.portable(connection, _doing(Act.PORTABLE, Right.PORTABILITY, "token-p"))
    assert isinstance(done, Done)
    read = json.loads(_fetch(ledger, "token-p"))
    content = read["copy"]
    assert verify(Signer.under(folder).public, canonical(content), read["signature"])
    assert not verify(
        Signer.under(folder).public, canonical(content | {"policy": "x"}), read["signature"]
    )
    assert content["format"] == "lethe-portable/1"
    values = {each["value"] for one in content["submissions"] for each in one["fields"]}
    assert values == {_mark(0, "email"), _mark(0, "name"), _mark(0, "size")}
    assert [each["notice_id"] for each in content["consents"]] == [_mark(0, "notice")]
    assert content["interests"] == [_mark(0, "wanted")]
    assert set(MARK.findall(json.dumps(content))) == {"0"}


def test_one_service_is_portable_alone(ledger: Ledger, acts: AnswerActs) -> None:
    doing = _doing(Act.PORTABLE, Right.PORTABILITY, "token-s", service="samples")
    with ledger.transaction() as connection:
        acts.portable(connection, doing)
    content = json.loads(_fetch(ledger, "token-s"))["copy"]
    assert [each["service"] for each in content["submissions"]] == ["samples"]
    assert content["consents"] == content["interests"] == []


def test_an_erasure_is_certified(ledger: Ledger, acts: AnswerActs, folder: Path) -> None:
    with ledger.transaction() as connection:
        requests.done(connection, [(_mark(0, "earlier"), 0, "deletion asked for")], AT)
        acts.certify(connection, _doing(Act.CERTIFY, Right.ERASURE, "token-c"))
    read = json.loads(_fetch(ledger, "token-c"))
    content = read["certificate"]
    assert verify(Signer.under(folder).public, canonical(content), read["signature"])
    assert [each["case_id"] for each in content["deletions"]] == [_mark(0, "ended")]
    assert content["deletions"][0]["certificate"] is not None
    assert content["not_confirmed_by"] == []
    assert "Art. 77 GDPR" in content["complaint"]
    assert [each["outcome"] for each in content["steps"]] == ["deletion asked for"]


def test_an_answer_made_again_stays_as_it_was(ledger: Ledger, acts: AnswerActs) -> None:
    doing = _doing(Act.BUNDLE, Right.ACCESS, "token-again")
    for _ in range(2):
        acts.bundle(doing)
    assert _unpack(_fetch(ledger, "token-again"))
    acts.bundle(doing)
    with ledger.transaction() as connection:
        assert answers.take(connection, answer_id("token-again"), AT) is None
