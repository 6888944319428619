"""LinkedIn as documented: conversion events and segment users, on its own paths.

It is no stricter than LinkedIn, which checks that fields are there and not what is in them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from lethe.standins.desk import Answer, Call, Desk, Removal

BATCH = 5_000
MAX_AGE = 90 * 24 * 3600 * 1000  # milliseconds
NEW_SEGMENT = 5_000  # milliseconds until a segment is found

_IDS = frozenset({
    "SHA256_EMAIL", "LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID", "ACXIOM_ID", "ORACLE_MOAT_ID",
    "PLAINTEXT_IP_ADDRESS", "SHA256_IP_ADDRESS", "GOOGLE_AID",
})  # fmt: skip
_MEMBER_IDS = frozenset({"SHA256_EMAIL", "SHA512_EMAIL", "GOOGLE_AID"})
_MISSING = "field is required but not found and has no default value"


@dataclass(slots=True)
class LinkedIn:
    """One LinkedIn application and account; what is None is anything.

    ``oldest`` is the first API version that still lives. ``rules`` are the conversion rules it can
    resolve, ``tag_rules`` those of them that belong to the Insight Tag. ``segments`` are ids with
    their creation in milliseconds; ``audiences`` is whether the scope for them was granted.
    """

    token: str = "linkedin-token"  # noqa: S105
    expired: Collection[str] = ()
    revoked: Collection[str] = ()
    oldest: str = "202512"
    rules: Collection[str] | None = None
    tag_rules: Collection[str] = ()
    segments: Mapping[str, int] | None = None
    audiences: bool = True
    requests_a_minute: int = 600
    retry_after: int | None = None  # seconds; LinkedIn documents none
    _requests: Counter[tuple[str, int]] = field(default_factory=Counter)

    def conversions(self, call: Call) -> Answer:
        """Answer ``POST /rest/conversionEvents``, one event or a batch."""
        if refused := self._door(call):
            return refused
        batch = call.headers.get("x-restli-method", "").upper() == "BATCH_CREATE"
        elements = _elements(call.content) if batch else [call.content]
        refused = _refusal(elements, lambda each: _conversion_faults(each, call.began))
        refused = refused or self._rule_refusal(elements)
        if refused:
            return refused
        taken = [str(each["eventId"]) for each in elements if each.get("eventId")]
        if not batch:
            return Answer(201, taken=taken)
        return Answer(200, {"elements": [{"status": 201}] * len(elements)}, taken=taken)

    def users(self, call: Call) -> Answer:
        """Answer ``POST /rest/dmpSegments/{id}/users``, a batch."""
        if refused := self._door(call):
            return refused
        if not self.audiences:
            return _error(403, "Not enough permissions", 100, "ACCESS_DENIED")
        segment = call.path.split("/")[-2]
        if self.segments is not None:
            created = self.segments.get(segment)
            if created is None or call.began < created + NEW_SEGMENT:
                return _error(404, "DMP segment not found")
        if call.headers.get("x-restli-method", "").upper() != "BATCH_CREATE":
            return _error(400, "X-RestLi-Method must be BATCH_CREATE")
        elements = _elements(call.content)
        if refused := _refusal(elements, _member_faults):
            return refused
        named = [
            (each["action"], each["userIds"][0]["idValue"]) for each in elements if each["userIds"]
        ]
        return Answer(
            200,
            {"elements": [{"status": 201}] * len(elements)},
            taken=[who for action, who in named if action == "ADD"],
            removed=[Removal(segment, who) for action, who in named if action == "REMOVE"],
        )

    def _door(self, call: Call) -> Answer | None:
        return self._token_refusal(call) or self._header_refusal(call) or self._throttle(call)

    def _token_refusal(self, call: Call) -> Answer | None:
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.revoked:
            return _error(401, "The token was revoked", 65601, "REVOKED_ACCESS_TOKEN")
        if token != self.token or token in self.expired:
            return _error(401, "Invalid access token", 65600, "INVALID_ACCESS_TOKEN")
        return None

    def _header_refusal(self, call: Call) -> Answer | None:
        version = call.headers.get("linkedin-version")
        if version is None:
            return _error(400, "A version must be present", code="VERSION_MISSING")
        if len(version) != 6 or not version.isdigit() or version < self.oldest:
            return _error(426, "The requested version is not active", code="NONEXISTENT_VERSION")
        if call.headers.get("x-restli-protocol-version") != "2.0.0":
            return _error(400, "X-Restli-Protocol-Version must be 2.0.0")
        return None

    def _throttle(self, call: Call) -> Answer | None:
        window = (call.path, call.began // 60_000)
        self._requests[window] += 1
        if self._requests[window] > self.requests_a_minute:
            waits = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
            return _error(429, "Resource level throttle limit reached", 101, headers=waits)
        return None

    def _rule_refusal(self, elements: list[Any]) -> Answer | None:
        rules = [each["conversion"].rpartition(":")[2] for each in elements]
        if self.rules is not None and not set(rules) <= set(self.rules):
            return _error(403, "No ad accounts found")
        foreign = [place for place, rule in enumerate(rules) if rule in self.tag_rules]
        if foreign:
            wanted = "Conversion's method should be CONVERSIONS_API"
            return _error(400, f"{wanted}, indices {foreign} (0-indexed)")
        return None


def routes(desk: Desk, linkedin: LinkedIn | None = None) -> list[web.RouteDef]:
    """Return LinkedIn's routes. A full batch is larger than aiohttp's ``client_max_size``."""
    linkedin = linkedin or LinkedIn()
    return [
        web.post("/rest/conversionEvents", desk.serve("linkedin", linkedin.conversions)),
        web.post("/rest/dmpSegments/{segment}/users", desk.serve("linkedin", linkedin.users)),
    ]


def _error(
    status: int,
    message: str,
    service_code: int | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    content: dict[str, object] = {"status": status, "message": message}
    if service_code is not None:
        content["serviceErrorCode"] = service_code
    if code is not None:
        content["code"] = code
    return Answer(status, content, headers or {})


def _elements(content: Any) -> list[Any]:
    elements = content.get("elements") if isinstance(content, dict) else None
    return elements if isinstance(elements, list) else []


def _refusal(elements: list[Any], faults: Callable[[Any], Iterator[str]]) -> Answer | None:
    """Return one answer that names every fault: a bad element fails all."""
    if not elements:
        return _error(400, "elements is empty")
    if len(elements) > BATCH:
        return _error(400, f"a batch has {BATCH} elements at most")
    found = [
        f"Index: {place}, " + "".join(f"ERROR :: {fault}\n" for fault in named)
        for place, each in enumerate(elements)
        if (named := list(faults(each)))
    ]
    return _error(422, "".join(found)) if found else None


def _conversion_faults(element: Any, now: int) -> Iterator[str]:
    event = element if isinstance(element, dict) else {}
    happened = event.get("conversionHappenedAt")
    if not isinstance(event.get("conversion"), str):
        yield f"/conversion :: {_MISSING}"
    if not isinstance(happened, int):
        yield f"/conversionHappenedAt :: {_MISSING}"
    elif happened < now - MAX_AGE:
        yield "/conversionHappenedAt :: is more than 90 days ago"
    if "conversionValue" in event:
        for name in ("currencyCode", "amount"):
            if not isinstance(event["conversionValue"].get(name), str):
                yield f"/conversionValue/{name} :: {_MISSING}"
    yield from _user_faults(event.get("user"))


def _user_faults(user: Any) -> Iterator[str]:
    if not isinstance(user, dict):
        yield f"/user :: {_MISSING}"
        return
    yield from _user_id_faults(user.get("userIds"), _IDS, "/user/userIds")
    for name in ("firstName", "lastName"):
        if "userInfo" in user and not user["userInfo"].get(name):
            yield f"/user/userInfo/{name} :: {_MISSING}"
    if len(user.get("externalIds", ())) > 1:
        yield "/user/externalIds :: has more than one value"


def _member_faults(element: Any) -> Iterator[str]:
    member = element if isinstance(element, dict) else {}
    if member.get("action") not in {"ADD", "REMOVE"}:
        yield f"/action :: {_MISSING}"
    yield from _user_id_faults(member.get("userIds"), _MEMBER_IDS, "/userIds")


def _user_id_faults(ids: Any, types: Collection[str], path: str) -> Iterator[str]:
    """Yield what is wrong with ``userIds``, which may be empty."""
    if not isinstance(ids, list):
        yield f"{path} :: {_MISSING}"
        return
    for place, each in enumerate(ids):
        if not isinstance(each, dict) or each.get("idType") not in types:
            yield f"{path}/{place}/idType :: is not an enum symbol"
        elif not isinstance(each.get("idValue"), str):
            yield f"{path}/{place}/idValue :: {_MISSING}"
