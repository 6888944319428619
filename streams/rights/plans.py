"""A request's plan, as the ledger keeps it."""

from sqlalchemy import Connection

from privacy.policy import Policy
from privacy.rights.plan import Plan
from sinks.ledger import requests
from sinks.ledger.requests import Request
from streams import metrics


def keep(connection: Connection, request: Request, plan: Plan, at: int, policy: Policy) -> None:
    """Keep what is decided about a request, and the commands that follow, at ``at`` (ms)."""
    requests.put_plan(
        connection,
        request.request_id,
        [(each.act.value, each.target) for each in plan.commands],
        plan.verdict.value,
        [(each.what, each.reason.value) for each in plan.refused],
        at,
        policy.version,
    )
    metrics.REQUESTS_DECIDED.labels(request.right, plan.verdict.value).inc()
