"""Start the worker: logs, metrics, its parts, and Faust where there are agents."""

import gc
from collections.abc import Collection, Sequence
from importlib import import_module

import mode
import structlog

from sinks.places import answers
from streams import health, kafka_login, logging
from streams.parts import OF_A_POLICY, PARTS, services
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
    port = health.serve(settings.metrics_host, settings.metrics_port, _checks(shared, loops))
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


def _checks(shared: Shared, loops: Sequence[InThread]) -> health.Checks:
    """Return what a worker has to have to be ready: loops that go round, and a broker."""
    kafka = shared.settings.kafka
    return {
        "loops": lambda: all(each.goes_round() for each in loops),
        "broker": lambda: answers(kafka.bootstrap, kafka_login.options(shared.settings)),
    }
