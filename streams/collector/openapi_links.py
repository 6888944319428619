"""The OpenAPI document's part on links in mails: unsubscribing, and people's rights."""

from typing import Any, Final

from privacy.contract import Contract
from streams.collector import answers, confirm, unsubscribe
from streams.collector.described import (
    PAGE,
    SECURITY,
    SENT,
    body_of,
    content_of,
    link,
    obj,
    refusals,
)
from streams.collector.refusal import Why

LEAVING: Final = {
    unsubscribe.PATH: link(
        "For the header `List-Unsubscribe` of each mail, and the link at its foot (RFC 8058). A "
        "GET shows a page with one button and changes nothing. A POST, whatever its body, ends the "
        "subscription, and is answered in the same way however often it comes. Neither key, origin "
        "nor cookie is asked for.",
        "Ask whether to unsubscribe",
        "Unsubscribe",
        {"description": "The subscription ends", "content": PAGE},
        {"404": "The link is not one of ours"},
    )
}

ASKED: Final = obj(
    request_id={"type": "string", "format": "uuid"},
    answer={"type": "string", "description": "Path of the page where the answer will be."},
    optional={"answer"},
)

_ASKING = """\
A person exercises a right of the GDPR: access (Art. 15), rectification (16), erasure (17),
restriction and its lifting (18), portability (20), objection (21), withdrawal of consent (7(3)).

They are known by `email`, by `cookie_id` or by both. With `email` a mail with a link asks to
confirm the request, and the answer comes by mail. With `cookie_id` alone the request is confirmed,
and `answer` is the path of the page where the answer can be fetched, once, by whoever has it.

202 means that the request is stored, and says nothing of whether the person is known: nobody looks.
After any other answer it can be sent again as it was: with the same `idempotency_key` and the same
content it is the same request. One address or cookie may be named a few times a day.
"""
_CONFIRMING = """\
For the link in the mail that asks to confirm a request. A GET shows a page with one button and
changes nothing. A POST, whatever its body, confirms the request, which counts once. Neither key,
origin nor cookie is asked for.
"""
_FETCHING = """\
Where the answer to a request is fetched. A GET shows a page with one button and changes nothing. A
POST, whatever its body, answers the file, once, and deletes it here. Neither key, origin nor cookie
is asked for: the token opens it. 404 is all that is said where no answer is, or not yet.
"""


def requests(contract: Contract, max_body: int) -> dict[str, Any]:
    """Return the paths of requests and their links; ``max_body`` in bytes."""
    send = {
        "operationId": "sendRequest",
        "summary": "Exercise a right",
        "description": f"{_ASKING}\nA body has at most {max_body} bytes.",
        "security": SECURITY,
        "requestBody": body_of(contract.schema()),
        "responses": {
            "202": {"description": "The request is stored", "content": content_of("Asked")},
            **refusals(SENT | {Why.NO_KEYS, Why.TOO_MANY_BY_ONE}),
        },
    }
    confirmed = {"description": "The request is confirmed", "content": PAGE}
    file = {"description": "The file", "content": {"*/*": {}}}
    return {
        "/v1/requests": {"post": send},
        confirm.PATH: link(
            _CONFIRMING,
            "Ask whether to confirm a request",
            "Confirm a request",
            confirmed,
            {"404": "The link is not one of ours, or over"},
        ),
        answers.PATH: link(
            _FETCHING,
            "Ask whether an answer is there",
            "Fetch an answer",
            file,
            {"404": "No answer is there, or not yet", "410": "It was fetched, or is over"},
        ),
    }
