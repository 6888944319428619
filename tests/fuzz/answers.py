"""What ad providers may answer: any status, headers and body, and a judgement that can be used."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sinks.ads import bodies
from sinks.ads.contract import Connector, Outcome, Response
from sinks.ads.ga4 import GA4
from sinks.ads.ga4 import Account as Ga4Account
from sinks.ads.google_ads import Account as GoogleAccount
from sinks.ads.google_ads import GoogleAds
from sinks.ads.linkedin import Account as LinkedInAccount
from sinks.ads.linkedin import LinkedIn
from sinks.ads.meta import Account as MetaAccount
from sinks.ads.meta import Meta
from sinks.ads.x import Account as XAccount
from sinks.ads.x import X
from tests.fuzz.inputs import Inputs

COUNT = 3  # events that were sent
STATUSES = (100, 200, 201, 204, 301, 400, 401, 403, 404, 413, 422, 423, 429, 500, 503, 504, 599)
HEADERS = {
    "retry-after": "7",
    "date": "Tue, 24 Nov 2026 08:46:40 GMT",
    "x-rate-limit-reset": "1795510090",
    "x-account-rate-limit-reset": "1795510090",
    "x-business-use-case-usage": '{"1": [{"estimated_time_to_regain_access": 19}]}',
}

_CODE = re.compile(r"[A-Za-z0-9_/-]{0,200}")


def _token(*_: str) -> str:
    return "t"


CONNECTORS: Mapping[str, Connector] = {
    each.name: each
    for each in (
        GA4(Ga4Account({}), _token, _token),
        GoogleAds(GoogleAccount({}), _token),
        LinkedIn(LinkedInAccount(), _token),
        Meta(MetaAccount({}), _token),
        X(XAccount({}), None, _token),
    )
}
BODIES: Mapping[str, Sequence[Any]] = {
    "ga4": (
        {"validationMessages": [{"description": "x"}]},
        {"error": {"code": 400, "status": "INVALID_ARGUMENT"}},
    ),
    "google-ads": (
        {"requestId": "r-1"},
        {
            "error": {
                "status": "INVALID_ARGUMENT",
                "details": [{"fieldViolations": [{"field": "events[2].x", "reason": "X"}]}],
            }
        },
        {
            "error": {
                "status": "RESOURCE_EXHAUSTED",
                "details": [{"retryDelay": "1.5s", "metadata": {"quota_limit": "PerDay"}}],
            }
        },
        {
            "requestStatusPerDestination": [
                {
                    "requestStatus": "FAILED",
                    "errorInfo": {"errorCounts": [{"reason": "X", "recordCount": "3"}]},
                }
            ]
        },
    ),
    "linkedin": (
        {"elements": [{"status": 201}, {"status": 422}, {"status": 429}]},
        {"serviceErrorCode": 65600, "code": "X", "message": "Index: 1, indices [0, 2]"},
    ),
    "meta": (
        {"events_received": COUNT},
        {"num_received": COUNT, "num_invalid_entries": 1},
        {"error": {"code": 80003, "error_subcode": 33, "is_transient": True}},
    ),
    "x": (
        {"data": {"conversions_processed": COUNT}},
        {"data": {"success_count": COUNT, "total_count": COUNT}},
        {"errors": [{"code": "X"}], "operation_errors": [[], ["x"], None]},
    ),
}


def make(provider: str, inputs: Inputs) -> Response:
    """Return an answer like one of the provider's, spoiled in places."""
    chance = inputs.chance
    good = chance.choice(BODIES[provider])
    headers = {
        name: _text(_spoiled(value.encode(), inputs))
        for name, value in HEADERS.items()
        if chance.random() < 0.7
    }
    body = (
        inputs.json(good) if chance.random() < 0.5 else _spoiled(json.dumps(good).encode(), inputs)
    )
    return Response(chance.choice(STATUSES), headers, body)


def kept(content: bytes) -> Response:
    """Return the answer of a file: the status, the headers, an empty line, the body."""
    head, _, body = content.partition(b"\n\n")
    status, *lines = _text(head).split("\n")
    return Response(int(status), dict(line.split(": ", 1) for line in lines), body)


def judge(provider: str, response: Response) -> None:
    """Have an answer judged, and see that what comes of it can be used."""
    connector = CONNECTORS[provider]
    outcomes = [connector.read_response(response, COUNT)]
    if isinstance(connector, GoogleAds):
        outcomes += filter(None, [connector.read_poll(response, COUNT)])
    for each in outcomes:
        _require_sound(each)
        if each.ticket is not None:
            connector.build_poll(each.ticket)


def _require_sound(outcome: Outcome) -> None:
    assert outcome.wait is None or 0 <= outcome.wait <= bodies.LONGEST_WAIT
    assert set(outcome.guilty) <= set(range(COUNT))
    assert len(outcome.each) in {0, COUNT}
    assert _CODE.fullmatch(outcome.code)
    assert outcome.ticket is None or (outcome.ticket.isascii() and outcome.ticket.isprintable())


def _spoiled(good: bytes, inputs: Inputs) -> bytes:
    ways: Sequence[Callable[[], bytes]] = (
        lambda: good,
        lambda: inputs.numbered(good),
        lambda: inputs.spoiled(good),
        inputs.junk,
    )
    return inputs.chance.choice(ways)()


def _text(content: bytes) -> str:
    """Return text as a client reads a header: what is no UTF-8 in surrogates."""
    return content.decode("utf-8", "surrogateescape")
