import json
import subprocess
import sys

import pytest

from streams.logging import keep_allowed

SCRIPT = """
import logging, warnings, structlog
from streams.logging import configure
configure("collector")
log = structlog.get_logger()
log.info("started", port=8080, page="secret-value")
try:
    raise ValueError("secret-value")
except ValueError as error:
    log.error("failed", exc_info=error)
    log.exception("failed_too")
    logging.getLogger("aiohttp.server").exception("Error handling request from %s", "secret-value")
logging.getLogger("some.library").log(35, f"secret-value")
logging.getLogger("some.library").info("chatter")
"""


@pytest.fixture(scope="module")
def lines() -> list[dict[str, object]]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert "secret-value" not in done.stdout + done.stderr
    assert not done.stdout
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_line_is_json_with_allowed_fields_and_names_the_others(
    lines: list[dict[str, object]],
) -> None:
    assert lines[0].pop("timestamp")
    assert lines[0] == {
        "event": "started",
        "level": "info",
        "service": "collector",
        "port": 8080,
        "left_out": ["page"],
    }


def test_an_exception_is_its_class(lines: list[dict[str, object]]) -> None:
    assert [line["error"] for line in lines[1:4]] == ["ValueError"] * 3


def test_a_library_s_line_is_where_it_came_from(lines: list[dict[str, object]]) -> None:
    assert [line["logger"] for line in lines[3:]] == ["aiohttp.server", "some.library"]
    assert all("where" in line for line in lines[3:])


def test_an_unknown_field_never_passes() -> None:
    assert keep_allowed(None, "", {"event": "e", "ip": "192.0.2.1", "cookie_id": "c"}) == {
        "event": "e",
        "left_out": ["cookie_id", "ip"],
    }
