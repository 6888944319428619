"""Start the worker: logs, metrics, its parts, and Faust where there are agents."""

import gc
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from importlib import import_module

import mode
import structlog

from sinks.clickhouse.connect import connect
from sinks.ledger import inbox
from sinks.ledger.ledger import RESTORING
from sinks.places import answers
from streams import health, kafka_login, logging
from streams.parts import ERASER, LEDGER, OF_A_POLICY, PARTS, WRITER, needs, services
from streams.service import InThread
from streams.shared import Shared

_log = structlog.get_logger()

# Our logs are configured already, and go where we say.
QUIET = {"redirect_stdouts": False, "override_logging": False, "quiet": True}


def spare_collector() -> None:
    """Have Python look for garbage cycles less often.

    A batch is ten thousand objects and more, and none of its cycles: looking for them after each
    700, as is the default, took a quarter of copying a message.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def run_worker(shared: Shared, only: Collection[str] | None = None) -> int:
    """Run the worker and return its exit code. ``only`` names parts; None is all of them.

    Raises ValueError for a part that does not exist, SettingsError, PolicyError and
    LedgerError.
    """
    unknown = set(only or ()) - set(PARTS)
    if unknown:
        raise ValueError(f"no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    logging.configure("worker")
    spare_collector()
    parts = only or PARTS
    if OF_A_POLICY & set(parts):
        shared.record_policy()
    loops = services(shared, parts)
    settings = shared.settings
    checks = _checks(shared, loops, needs(shared, parts))
    port = health.serve(settings.metrics_host, settings.metrics_port, checks)
    _log.info("metrics", host=settings.metrics_host, port=port)
    # Faust cannot run without an agent, and what has none needs no Faust.
    worker = (
        import_module("streams.app").Worker(shared, *loops, **QUIET)
        if "agents" in parts
        else mode.Worker(*loops, **QUIET)
    )
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _read_ledger(shared: Shared) -> None:
    with shared.ledger.reading() as connection:
        inbox.is_marked(connection, RESTORING)


def _ask_clickhouse(user: str, shared: Shared) -> None:
    settings = shared.settings
    with connect(settings.clickhouse, user, settings.secrets, patience=0) as client:
        client.time()


# Each raises when it is not there.
_ASK: Mapping[str, Callable[[Shared], None]] = {
    LEDGER: _read_ledger,
    WRITER: partial(_ask_clickhouse, "writer"),
    ERASER: partial(_ask_clickhouse, "eraser"),
}


def _checks(shared: Shared, loops: Sequence[InThread], needed: Collection[str]) -> health.Checks:
    """Return what a worker has to have to be ready: loops that go round, a broker, what it needs.

    A loop that waits for what is away goes round: it is not ready, and well.
    """
    kafka = shared.settings.kafka
    return {
        "loops": lambda: all(each.goes_round() for each in loops),
        "broker": lambda: answers(kafka.bootstrap, kafka_login.options(shared.settings)),
        **{each: health.InTime(partial(_ASK[each], shared)) for each in sorted(needed)},
    }
