"""What is measured of deletion, each on topics and a ledger of its own, with a broker.

Times are the ledger's: what the pipeline itself noted of each step.
"""

import resource
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import select

from bench.deletion.filling import bury
from bench.deletion.pipeline import Pipeline
from bench.loops import working
from privacy.lifecycle import ServiceEvent
from sinks.ledger import jobs
from sinks.ledger.jobs import Job
from sinks.ledger.tables import deletions
from streams.cases.closures import Closures
from streams.cases.reading import Event
from streams.cases.work import Work
from streams.shared import now

SHREDDED = 20_000
CLOSED = 100_000
RATE = 50  # service events a second
EVENTS = 3_000
KEPT = (10_000, 100_000, 1_000_000)
ONE_BY_ONE = 200  # deletions at each of these
WARM = 20  # deletions before what is measured
GROUP = "spring"

Result = Mapping[str, Any]


def shred(pipeline: Pipeline, scale: float) -> Result:
    """Shred the cases of a group that was closed; nothing else runs."""
    count = int(SHREDDED * scale)
    shredder = pipeline.shredder()
    for each in pipeline.fill("samples", WARM):
        end(pipeline, each)
    while shredder.turn():
        pass
    pipeline.fill("guests", count, GROUP)
    _close(pipeline, count)
    start, spent = now(), _cpu()
    while shredder.turn():
        pass
    spent = _cpu() - spent
    pipeline.require("guests", count, others=WARM)
    last = pipeline.last("guests")
    return {
        "cases": count,
        "unreadable": (last["unreadable_at"] - start) / 1000,
        "seconds": (last["completed_at"] - start) / 1000,
        "cpu": spent,
    }


def close(pipeline: Pipeline, scale: float) -> Result:
    """Close a group by a service event, and have all its cases deleted."""
    count = int(CLOSED * scale)
    warm = pipeline.fill("samples", WARM)
    pipeline.fill("guests", count, GROUP)
    with working(pipeline.loops()) as until:
        pipeline.warm(until, warm)
        spent = _cpu()
        event_id, start = pipeline.report(ServiceEvent.EVENT_OVER, "guests", None, GROUP)

        def closed() -> Job | None:
            with pipeline.ledger.reading() as connection:
                job = jobs.show(connection, event_id)
            return job if job is not None and job.finished_at is not None else None

        until(lambda: closed() is not None)
        until(lambda: not pipeline.busy())
        spent = _cpu() - spent
        job = closed()
    pipeline.require("guests", count, others=len(warm))
    last = pipeline.last("guests")
    return {
        "cases": count,
        "closed": (((job and job.finished_at) or 0) - start) / 1000,
        "unreadable": (last["unreadable_at"] - start) / 1000,
        "seconds": (last["announced_at"] - start) / 1000,
        "cpu": spent,
    }


def react(pipeline: Pipeline, scale: float) -> Result:
    """Report service events at a steady rate, one a case, and see when nobody can read it."""
    count = int(EVENTS * scale)
    warm, *case_ids = pipeline.fill("samples", 1 + count)
    sent: dict[str, int] = {}
    with working(pipeline.loops()) as until:
        pipeline.warm(until, [warm])
        start = time.monotonic()
        for number, case_id in enumerate(case_ids):
            time.sleep(max(0.0, start + number / RATE - time.monotonic()))
            _, sent[case_id] = pipeline.report(ServiceEvent.DELIVERED, "samples", case_id)
        rate = count / (time.monotonic() - start)
        until(lambda: pipeline.announced(case_ids[-1]))
        until(lambda: not pipeline.busy())
    pipeline.require("samples", 1 + count)
    with pipeline.ledger.reading() as connection:
        rows = connection.execute(select(deletions.c.case_id, deletions.c.unreadable_at))
        took = [row.unreadable_at - sent[row.case_id] for row in rows if row.case_id in sent]
    middle, late = np.percentile(took, [50, 99]) / 1000
    return {
        "cases": count,
        "rate": rate,
        "median": middle,
        "p99": late,
        "longest": max(took) / 1000,
    }


def kept(pipeline: Pipeline, scale: float) -> Result:
    """Delete one case after the other, from its event to its certificate, the more are kept.

    As many as are kept were deleted before.
    """
    shredder = pipeline.shredder()
    ids: list[str] = []
    results = []
    for size in (int(each * scale) for each in KEPT):
        more = size - len(ids)
        ids += pipeline.fill("samples", more)
        bury(pipeline.ledger, "samples", more, pipeline.random)
        pipeline.ledger.checkpoint()
        pipeline.random.shuffle(ids)
        took, spent = [], []
        for case_id in [ids.pop() for _ in range(WARM + int(ONE_BY_ONE * scale))]:
            start, cpu = time.monotonic(), _cpu()
            end(pipeline, case_id)
            while shredder.turn():
                pass
            took.append(time.monotonic() - start)
            spent.append(_cpu() - cpu)
        results.append({"kept": size, "seconds": median(took[WARM:]), "cpu": median(spent[WARM:])})
    return {"sizes": results, "growth": results[-1]["cpu"] / results[0]["cpu"]}


def _close(pipeline: Pipeline, count: int) -> None:
    """End the cases of the group, as the worker does once it has taken the event."""
    job = Job("over", "guests", GROUP, ServiceEvent.EVENT_OVER, count, 0, now(), None)
    with pipeline.ledger.transaction() as connection:
        jobs.begin(connection, [job])
    producer = pipeline.shared.producer("cases")
    closures = Closures(pipeline.policy, pipeline.transitions, pipeline.ledger, producer, now)
    while closures.batch():
        closures.publish()


def end(pipeline: Pipeline, *case_ids: str) -> None:
    """Apply a service event to each, as the cases lane does."""
    events = [
        Event(f"delivered-{each}", "samples", ServiceEvent.DELIVERED, each, None)
        for each in case_ids
    ]
    with pipeline.ledger.transaction() as connection:
        work = Work(connection, pipeline.policy, pipeline.transitions, now())
        work.load([], events)
        for event in events:
            work.apply(event)
        work.flush()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


MEASURES: Mapping[str, Callable[[Pipeline, float], Result]] = {
    "shred": shred,
    "close": close,
    "react": react,
    "kept": kept,
}
