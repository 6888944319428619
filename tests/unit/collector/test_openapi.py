"""The OpenAPI document is what the collector does: schemathesis reads it and tries."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from privacy.tracking import FIELDS
from streams.collector.openapi import document
from streams.collector.refusal import ANSWERS

DOCUMENT = document(65_536)
described = schemathesis.openapi.from_dict(DOCUMENT)

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
    assert DOCUMENT["components"]["schemas"]["Event"]["properties"].keys() == FIELDS.keys()
    answers = {answer.status for answer in ANSWERS.values()} | {202}
    assert set(map(int, DOCUMENT["paths"]["/v1/events"]["post"]["responses"])) == answers
