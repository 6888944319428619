"""Start the worker: logs, metrics, salts, and the Faust app until it is told to stop."""

from collections.abc import Collection

import faust
from prometheus_client import start_http_server

from streams import logging
from streams.app import PARTS, build_app
from streams.metrics import REGISTRY
from streams.settings import Settings


def run_worker(settings: Settings, only: Collection[str] | None = None) -> int:
    """Run the worker and return its exit code. ``only`` names parts; None is all of them.

    Raises ValueError for a part that does not exist.
    """
    unknown = set(only or ()) - set(PARTS)
    if unknown:
        raise ValueError(f"no part {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    logging.configure("worker")
    start_http_server(settings.metrics_port, "127.0.0.1", registry=REGISTRY)
    worker = faust.Worker(
        build_app(settings, only or PARTS), redirect_stdouts=False, override_logging=False
    )
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
