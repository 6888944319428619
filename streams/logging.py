"""Structured logs: JSON lines on standard error, made from an allow-list of fields.

A payload, a key, an address or an exception's text has no field here, so it cannot be logged. What
a library logs is reduced to where it happened; its text might hold anything.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

FIELDS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "service",
        "logger",
        "where",
        "error",
        "reason",
        "part",
        "provider",
        "site",
        "topic",
        "partition",
        "offset",
        "count",
        "seconds",
        "host",
        "port",
        "left_out",
    }
)


def configure(service: str, level: int = logging.INFO) -> None:
    """Send every log line of this process, ours and the libraries', through the allow-list."""
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _name_service(service),
            keep_allowed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Library()], level=logging.WARNING, force=True)


def keep_allowed(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep allowed fields; of an exception its class. ``left_out`` names the rest."""
    if isinstance(error := line.get("exc_info"), BaseException):
        line["error"] = type(error).__name__
    elif error:
        line["error"] = getattr(sys.exc_info()[0], "__name__", "unknown")
    line.pop("exc_info", None)
    others = sorted(line.keys() - FIELDS)
    kept = {name: value for name, value in line.items() if name in FIELDS}
    return kept | {"left_out": others} if others else kept


def _name_service(service: str) -> structlog.typing.Processor:
    def name(_: object, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["service"] = service
        return line

    return name


class _Library(logging.Handler):
    """Turns a library's log record into one of ours, without its text."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        structlog.get_logger().log(
            min(max(record.levelno // 10, 1), 5) * 10,
            "library",
            logger=record.name,
            where=f"{record.module}:{record.lineno}",
            error=error.__name__ if error else None,
        )
