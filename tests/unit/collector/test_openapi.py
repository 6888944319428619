"""The OpenAPI document is what the collector does: schemathesis reads it and tries."""

from copy import deepcopy
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from privacy import consents, tracking
from streams.collector.openapi import document
from streams.collector.refusal import ANSWERS

DOCUMENT = document(65_536)
# The document knows no policy; what is tried must, or no change would ever be recorded.
TRIED = deepcopy(DOCUMENT)
TRIED["components"]["schemas"]["Change"]["properties"]["purpose"] = {"enum": ["ads", "statistics"]}
described = schemathesis.openapi.from_dict(TRIED)

# What a schema cannot say (times near now, ids only with consent) may be refused though it fits.
EXCLUDED = [positive_data_acceptance]


@described.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_collector_does_what_its_document_says(case: Any, live: Any) -> None:
    case.call_and_validate(
        base_url=f"http://{live.host}:{live.port}",
        headers={"X-Lethe-Key": "shop-key"},
        excluded_checks=EXCLUDED,
    )


async def test_the_collector_serves_the_document(entrance: Any) -> None:
    assert await (await entrance.client.get("/openapi.json")).json() == DOCUMENT


def test_the_document_names_every_field_and_answer() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Event"]["properties"].keys() == tracking.FIELDS.keys()
    assert schemas["Change"]["properties"].keys() == consents.FIELDS.keys()
    answers = {answer.status for answer in ANSWERS.values()} | {202}
    assert set(map(int, DOCUMENT["paths"]["/v1/events"]["post"]["responses"])) == answers
