"""The OpenAPI document is what the collector does: schemathesis reads it and tries."""

import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from privacy import consent_request, tracking
from privacy.policy import Policy
from privacy.rights.request import contract
from streams.collector import openapi
from streams.collector.refusal import ANSWERS

POLICY = Policy.model_validate(
    tomllib.loads(Path(__file__).with_name("policy.toml").read_text(encoding="utf-8"))
)
DOCUMENT = openapi.document(65_536, POLICY.services, links=True, requests=contract(POLICY))
# The document knows no purposes; what is tried must, or no change would ever be recorded.
TRIED = deepcopy(DOCUMENT)
TRIED["components"]["schemas"]["Change"]["properties"]["purpose"] = {"enum": ["ads", "statistics"]}
described = schemathesis.openapi.from_dict(TRIED)

# What a schema cannot say (times near now, ids only with consent) may be refused though it fits.
EXCLUDED = [positive_data_acceptance]
RARE = (
    "/v1/forms",
    "/v1/unsubscribe",
    "/v1/requests",
    "/v1/answers",
    "/v1/profile",
    "/v1/guard",
)


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
    schemas, paths = DOCUMENT["components"]["schemas"], DOCUMENT["paths"]
    assert schemas["Event"]["properties"].keys() == tracking.FIELDS.keys()
    assert schemas["Change"]["properties"].keys() == consent_request.FIELDS.keys()
    assert {f"/v1/forms/{name}" for name in POLICY.services} <= paths.keys()
    assert schemas["Asked"]["required"] == ["request_id"]
    answers = {str(answer.status) for answer in ANSWERS.values()} | {"202"}
    routes = [paths[path]["post"] for path in ("/v1/events", "/v1/forms/survey")]
    assert {status for route in routes for status in route["responses"]} == answers


def test_without_services_and_links_there_are_none() -> None:
    paths = openapi.document(65_536)["paths"]
    assert not [path for path in paths if path.startswith(RARE)]
