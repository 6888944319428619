"""Start the worker: logs, metrics, salts, and the Faust app until it is told to stop."""

from collections.abc import Collection

import faust
import mode
from prometheus_client import start_http_server

from streams import logging
from streams.app import PARTS, build_app, services
from streams.metrics import REGISTRY
from streams.settings import Settings

# Our logs are configured already, and go where we say.
QUIET = {"redirect_stdouts": False, "override_logging": False, "quiet": True}


def run_worker(settings: Settings, only: Collection[str] | None = None) -> int:
    """Run the worker and return its exit code. ``only`` names parts; None is all of them.

    Raises ValueError for a part that does not exist.
    """
    unknown = set(only or ()) - set(PARTS)
    if unknown:
        raise ValueError(f"no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    logging.configure("worker")
    start_http_server(settings.metrics_port, "127.0.0.1", registry=REGISTRY)
    parts = only or PARTS
    # Faust cannot run without an agent, and what has none needs no Faust.
    worker = (
        faust.Worker(build_app(settings, parts), **QUIET)
        if "agents" in parts
        else mode.Worker(*services(settings, parts), **QUIET)
    )
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
