"""Every parser that meets the outside, as one call: it returns, or refuses in its own way."""

import json
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from yarl import URL

from lethe.intake import Candidate
from lethe.jsonl import candidates
from lethe.logs.parse import parse as parse_line
from lethe.logs.place import Place
from lethe.logs.source import Source
from privacy import consent_request, forms, links, tracking, unsubscribe
from privacy.contract import Problem
from privacy.network import is_shortened, shorten
from privacy.policy import Policy
from privacy.pseudonym import Salt
from privacy.rights import request
from privacy.signed import sign
from privacy.urls import clean_name, clean_page, clean_referrer, clean_terms
from schemas import registry
from schemas.codec import WireError, WireFault, decode, encode
from schemas.columns import decode_batch
from sinks.geo.errors import GeoError
from sinks.geo.sample import sample
from sinks.geo.table import Table
from sinks.keys.answers import open_answer
from sinks.keys.seal import NotSealedError
from sinks.user_agents import parse as parse_agent
from streams import policy as policies
from streams.collector.body import read_items, read_json
from streams.collector.choices import require_visitor
from streams.collector.door import _digest
from streams.collector.linked import language_of
from streams.collector.peers import client_address
from streams.collector.refusal import Refusal
from streams.egress import Egress, ForbiddenError
from streams.keys import tokens
from streams.keys.app import _case_ids
from streams.policy import PolicyError
from streams.restoring import archive
from streams.restoring.archive import BackupError, Manifest
from streams.settings import SettingsError, load
from tests.fuzz import answers
from tests.fuzz.inputs import Inputs

ROOT = Path(__file__).parents[2]
POLICY, SETTINGS = ROOT / "deploy/policy/reference.toml", ROOT / "deploy/config/reference.toml"
SALT = Salt(b"s" * 32)
NOW = 1_795_510_000_000
KEYS = {"k1": b"k" * 32}
COLUMNAR = ("tracking_event", "anonymised_event")  # the records that are read in columns
Make = Callable[[Inputs], Any]


@dataclass(frozen=True)
class Parser:
    """``call`` takes what ``make`` makes. ``refusals`` are the exceptions it may raise.

    ``kept`` makes what ``call`` takes of a file of the corpus.
    """

    call: Callable[[Any], Any]
    make: Make
    refusals: tuple[type[Exception], ...] = ()
    kept: Callable[[bytes], Any] = bytes


@cache
def policy() -> Policy:
    """Return a policy with all there is in one."""
    return policies.load(POLICY)


@cache
def good(record: str) -> Sequence[bytes]:
    """Return framed records that are good."""
    found = []
    for topic in registry.topics().values():
        if topic.record == record:
            folder = registry.HERE / "examples" / topic.name
            found += [bytes.fromhex(each.read_text()) for each in sorted(folder.glob("*.hex"))]
    return found


EVENT = {
    "event_id": "5f3a7f0e-2a54-4c0d-9d2e-000000000001", "type": "error", "status": 404,
    "page": "https://shop.example/tea?utm_source=x", "cookie_id": "c-1", "latitude": 51.5,
    "longitude": 3.7, "location_consent": True, "consent_epoch": 1, "ad_ids": {"fbp": "fb.1.1.1"},
    "occurred_at": NOW, "ip": "192.0.2.1", "user_agent": "Mozilla/5.0", "name": "n",
}  # fmt: skip
CHANGE = {
    "change_id": "5f3a7f0e-2a54-4c0d-9d2e-000000000002", "cookie_id": "c-1", "purpose": "ads",
    "decision": "given", "notice_id": "banner", "notice_version": "1", "language": "en",
    "how": "banner", "occurred_at": NOW,
}  # fmt: skip
ASKED = {
    "right": "access", "email": "mel@example.com", "language": "en",
    "idempotency_key": "0123456789abcdef0123", "details": {"service": "x"},
}  # fmt: skip
LINE = (
    b'192.0.2.7 - mel [24/Nov/2026:08:46:40 +0100] "GET /tea?q=%20 HTTP/1.1" 200 512 '
    b'"https://shop.example/" "Mozilla/5.0 \\x41"'
)
AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/17.1 Mobile/15E148 Safari/604.1"
)


def _either(*made: Make) -> Make:
    return lambda inputs: inputs.chance.choice(made)(inputs)


def _like(*examples: bytes) -> Make:
    """Make bytes like these, or none like them."""
    return _either(
        *[partial(lambda each, inputs: inputs.spoiled(each), each) for each in examples],
        lambda inputs: inputs.junk(),
    )


def _text_like(*examples: str) -> Make:
    """Make text as a header or a path has it: what is no UTF-8 in surrogates."""
    made = _like(*[each.encode() for each in examples])
    return lambda inputs: _as_text(made(inputs))


def _as_text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _text(
    call: Callable[[str], Any], *examples: str, refusals: tuple[type[Exception], ...] = ()
) -> Parser:
    return Parser(call, _text_like(*examples), refusals, _as_text)


def _json_like(example: Any) -> Make:
    return _either(
        lambda inputs: inputs.json(example),
        lambda inputs: inputs.json(example),
        _like(json.dumps(example).encode()),
    )


def _checked(read: Callable[[Any], Any], body: bytes) -> Any:
    """Read a body as a route does, check it, and tell what may be told of it."""
    items = read_json(body)
    for each in items if isinstance(items, list) else [items]:
        for problem in read(each):
            assert problem.field
            assert problem.rule


def _event(event: Any) -> Sequence[Problem]:
    """Check an event, and have a good one go in as the collector does."""
    broken = tracking.problems(event, NOW, 48 * 3_600_000)
    if not broken:
        record = tracking.enter(
            event, site="shop.example", address="192.0.2.77", user_agent=None, received_at=NOW,
            event_id="5f3a7f0e-2a54-4c0d-9d2e-000000000003", salt=SALT,
        )  # fmt: skip
        encode("tracking_event", record)
    return broken


def _change(change: Any) -> Sequence[Problem]:
    broken = consent_request.problems(change)
    if not broken:
        encode(
            "consent_change",
            consent_request.enter(
                change, site="shop.example", received_at=NOW, change_id=str(CHANGE["change_id"])
            ),
        )
    return broken


def _form(body: Any) -> list[Problem]:
    broken: list[Problem] = []
    for service in policy().services.values():
        found = forms.problems(service, body)
        if not found:
            forms.enter(service, body)
        broken += found
    return broken


def _request(body: Any) -> list[Problem]:
    broken = list(islice(request.problems(policy(), body), 100))
    if not broken:
        request.to_json(request.enter(body, site="shop.example", answer=""))
    return broken


def _policy(content: bytes) -> None:
    policies.parse(content.decode("utf-8", "replace"), "policy.toml")


def _settings(content: bytes) -> None:
    """Read settings as from a file."""
    try:
        given = tomllib.loads(content.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return  # of the library, which says where
    names = {"engines", "_env_file", *(each for each in given if not each.isidentifier())}
    load(engines=False, **{name: each for name, each in given.items() if name not in names})


def _columns(name: str, values: list[bytes]) -> None:
    """Read in columns and in rows: both say the same of each message."""
    decoded = decode_batch(name, values)
    faults = dict(decoded.faults)
    assert len(faults) + len(decoded.index) == len(values)
    assert faults == {
        place: each for place, value in enumerate(values) if (each := _fault(name, value))
    }


def _fault(name: str, value: bytes) -> WireFault | None:
    try:
        decode(name, value)
    except WireError as error:
        return error.fault
    return None


def _log(content: bytes) -> None:
    for each in Source(BytesIO(content), "shop.example", "access.log", Place()).candidates():
        assert isinstance(each, Candidate)


def _urls(text: str) -> None:
    for kept in (frozenset[str](), frozenset({"q", "utm_source"})):
        clean_page(text, kept)
    clean_referrer(text)
    clean_terms(text)
    clean_name(text)


def _address(text: str) -> None:
    short = shorten(text)
    assert short is None or is_shortened(short)


def _forwarded(lines: tuple[list[str], list[str], int]) -> None:
    found = client_address("198.51.100.1", *lines)
    assert found is None or shorten(found)


def _lines(inputs: Inputs) -> tuple[list[str], list[str], int]:
    address = _text_like("192.0.2.1, 203.0.113.9", "[2001:db8::1]:80", "unknown")
    element = _text_like('for=192.0.2.1;by=203.0.113.9, for="[2001:db8::1]:80"', 'for="a\\"b"')
    many = inputs.chance.randrange
    return (
        [address(inputs) for _ in range(many(3))],
        [element(inputs) for _ in range(many(3))],
        many(4),
    )


def _query(text: str) -> None:
    """Read a query as ``GET /v1/profile`` and the forms' routes do: a site's key, a visitor."""
    query = URL.build(path="/v1/profile", query_string=text, encoded=True).query  # as aiohttp does
    _digest(query.get("key", ""))
    require_visitor(query.getall("cookie_id", []))


def _filed(read: Callable[[Path], object], content: bytes) -> None:
    """Read what is read from a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "file"
        file.write_bytes(content)
        read(file)


def _backup(file: Path) -> None:
    archive.read(file)
    archive.unpack(file, file.with_name("ledger.db"))


def _good_backup() -> bytes:
    """Return a small backup without what fills it up, so that what is spoiled is read."""
    manifest = Manifest("1", 1, NOW, "sqlite", "", "1", {"letters": {"0": 1}}, {"cases": {}})
    with tempfile.TemporaryDirectory() as folder:
        ledger, file = Path(folder) / "ledger.db", Path(folder) / "backup.tar"
        ledger.write_bytes(b"SQLite format 3\0")
        archive.write(file, manifest, ledger)
        content = file.read_bytes().rstrip(b"\0")
        return content + b"\0" * (-len(content) % tarfile.BLOCKSIZE)


def _good_table() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        sample().save(file := Path(folder) / "table.npz")
        return file.read_bytes()


def _batch(name: str, inputs: Inputs) -> list[bytes]:
    values = [inputs.wire(name, good(name)) for _ in range(inputs.chance.choice((1, 3, 70)))]
    values += inputs.chance.choices(good(name), k=3)
    inputs.chance.shuffle(values)
    return values


def _row(name: str) -> Parser:
    return Parser(partial(decode, name), lambda inputs: inputs.wire(name, good(name)), (WireError,))


LINK = links.confirm_token(KEYS, "r-1", 1_800_000_000)
LEAVING = unsubscribe.token(KEYS, "c-1", "newsletter")

PARSERS: Mapping[str, Parser] = {
    "body-events": Parser(partial(_checked, _event), _json_like(EVENT), (Refusal,)),
    "body-consent": Parser(partial(_checked, _change), _json_like(CHANGE), (Refusal,)),
    "body-forms": Parser(
        partial(_checked, _form),
        _json_like({"fields": {"email": "mel@example.com", "name": "Mel"}, "language": "en"}),
        (Refusal,),
    ),
    "body-requests": Parser(partial(_checked, _request), _json_like(ASKED), (Refusal,)),
    "body-items": Parser(
        lambda body: read_items(body, "events"), _json_like({"events": [EVENT, EVENT]}), (Refusal,)
    ),
    "body-keys": Parser(_case_ids, _json_like({"case_ids": ["a", "b"]})),
    "json-lines": Parser(
        lambda body: list(candidates(BytesIO(body), lambda: "id")), _json_like(EVENT)
    ),
    "query-visitor": _text(lambda text: require_visitor([text]), "c-1", refusals=(Refusal,)),
    "query": _text(_query, "cookie_id=c-1&key=k%20", "cookie_id=%ff;key", refusals=(Refusal,)),
    "accept-language": _text(lambda text: language_of(text, ("en", "fr")), "fr-BE;q=0.8, en;q=0.5"),
    "log-line": Parser(parse_line, _like(LINE, LINE[20:])),
    "log-file": Parser(_log, _like(LINE + b"\n" + LINE + b"\r\n\n" + LINE)),
    "policy": Parser(_policy, _like(POLICY.read_bytes()), (PolicyError,)),
    "settings": Parser(_settings, _like(SETTINGS.read_bytes()), (SettingsError,)),
    "backup": Parser(partial(_filed, _backup), _like(_good_backup()), (BackupError,)),
    "geo-table": Parser(partial(_filed, Table.load), _like(_good_table()), (GeoError,)),
    "token-confirm": _text(
        lambda text: links.read_confirm(KEYS, text, 1_795_000_000), LINK, LEAVING
    ),
    "token-unsubscribe": _text(
        lambda text: unsubscribe.read(KEYS, text), LEAVING, LINK, sign(KEYS, "leave", "a", "b")
    ),
    "token-answer": _text(
        lambda text: open_answer(text, b"n" * 12 + b"x" * 40), "t" * 43, refusals=(NotSealedError,)
    ),
    "token-answer-id": _text(links.answer_id, "t" * 43),
    "token-department": _text(
        lambda text: tokens.department_of(ROOT / "deploy", ["policy"], text), "t" * 43
    ),
    "forwarded": Parser(_forwarded, _lines, kept=lambda line: ([_as_text(line)],) * 2 + (1,)),
    "address": _text(_address, "192.0.2.1", "2001:db8::1", "[2001:db8::1]:80"),
    "url": _text(_urls, "https://me@shop.example:80/tea/1?q=%C3%A9&utm_source=x#top"),
    "user-agent": _text(parse_agent, AGENT),
    "egress": _text(
        Egress(frozenset({"api.example", "127.0.0.1"}), clear=True).require,
        "https://api.example:443/v1?x=y",
        "http://127.0.0.1:9/",
        refusals=(ForbiddenError,),
    ),
    **{
        f"answer-{name}": Parser(
            partial(answers.judge, name), partial(answers.make, name), kept=answers.kept
        )
        for name in answers.CONNECTORS
    },
    **{
        f"avro-{name}": _row(name)
        for name in sorted({each.name for each in registry.records().values()})
    },
    **{
        f"columns-{name}": Parser(
            partial(_columns, name), partial(_batch, name), kept=lambda value: [value]
        )
        for name in COLUMNAR
    },
}
