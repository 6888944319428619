"""``lethe ingest-log`` and ``lethe publish`` as processes, on a broker."""

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from lethe.cli import app
from schemas.codec import decode
from streams.settings import Settings
from tests.real_log import REAL_LOG, needs_real_log

pytestmark = pytest.mark.broker

Events = Callable[[], list[dict[str, Any]]]


class Ended(NamedTuple):
    """How a command ended: its exit code and what it said."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def events(settings: Settings, read_topic: Callable[[str, str], list[Any]]) -> Events:
    """Return a reader of the events on the broker."""

    def read() -> list[dict[str, Any]]:
        found = read_topic(settings.kafka.bootstrap, settings.topic("tracking-events"))
        return [decode("tracking_event", each.value) for each in found]

    return read


@pytest.fixture
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for logs, outside the data folder."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture
def lethe(environment: dict[str, str]) -> Run:
    """Return a runner of the command line in this process."""

    def run(command: str, *arguments: str | Path) -> Ended:
        line = [command, *map(str, arguments), "--site", "shop.example"]
        result = CliRunner().invoke(app, line, env=environment)
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def start(environment: dict[str, str]) -> Start:
    """Return a starter of the command line as a process."""

    def started(*arguments: str | Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "lethe", *arguments, "--site", "shop.example"],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


def end(process: subprocess.Popen[str], said: str | None = None) -> Ended:
    out, err = process.communicate(said, timeout=60)
    return Ended(process.returncode, out, err)


def visit(number: int) -> str:
    clock = time.strftime("%H:%M:%S", time.gmtime(number // 40))
    status = (200, 200, 304, 404, 500)[number % 5]
    return (
        f"198.51.100.{number % 200 + 20} - jane [22/Oct/2026:{clock} +0000] "
        f'"GET /page/{number}?q=1 HTTP/1.1" {status} 100 "https://blog.example/" "B/{number}"\n'
    )


def counted(log: Path) -> Counter[tuple[str, str, int | None]]:
    """Count requests in another way than the product does: by splitting at quotation marks."""
    counts: Counter[tuple[str, str, int | None]] = Counter()
    for line in log.read_text().splitlines():
        _, request, numbers, *_ = line.split('"')
        status = int(numbers.split()[0])
        kind = "error" if status >= 400 else "page_view"
        counts[kind, request.split(" ")[1], status if status >= 400 else None] += 1
    return counts


def addresses(log: Path) -> set[bytes]:
    """Return the full addresses of a log that differ from their shortened form."""
    found = {line.split(b" ")[0] for line in log.read_bytes().splitlines()}
    return {address for address in found if not address.endswith(b".0")}


@pytest.fixture(params=["made up", pytest.param("real", marks=needs_real_log)])
def log(request: pytest.FixtureRequest, logs: Path) -> Path:
    if request.param == "made up":
        file = logs / "access.log"
        file.write_text("".join(map(visit, range(3_000))))
        return file
    return REAL_LOG


def test_every_request_is_one_event_without_its_address(
    lethe: Run, events: Events, log: Path, settings: Settings
) -> None:
    code, out, err = lethe("ingest-log", log)
    assert code == 0, err
    found = events()
    assert Counter((e["type"], e["page"], e["status"]) for e in found) == counted(log)
    assert len({e["event_id"] for e in found}) == len(found)
    assert f"{len(found):,}" in out
    full = addresses(log)
    assert full
    text = repr(found).encode() + out.encode() + err.encode()
    kept = text + b"".join(f.read_bytes() for f in settings.data_dir.rglob("*") if f.is_file())
    assert not full & set(re.findall(rb"(?<![\d.])\d+\.\d+\.\d+\.\d+(?![\d.])", kept))
    visitors = {e["visitor"] for e in found}
    assert 0 not in visitors
    assert None not in visitors
    assert len(visitors) > 100


def test_reading_again_doubles_nothing(
    lethe: Run, start: Start, events: Events, logs: Path
) -> None:
    """The same log, its rotated and its compressed copy, and the same bytes on standard input."""
    log = logs / "access.log"
    log.write_text("".join(map(visit, range(500))))
    rotated = logs / "access.log.2.gz"
    rotated.write_bytes(gzip.compress(log.read_bytes()))
    assert lethe("ingest-log", log).code == 0
    assert lethe("ingest-log", rotated).code == 0
    assert end(start("ingest-log", "-", "--name", "access"), log.read_text()).code == 0
    found = events()
    assert len(found) == 1_500
    assert len({event["event_id"] for event in found}) == 500


def test_refused_lines_are_told_by_number_and_reason(
    lethe: Run, events: Events, logs: Path
) -> None:
    log, report = logs / "access.log", logs / "refused.txt"
    log.write_bytes(visit(1).encode() + b"\x16\x03\x01 jane\n" * 30 + visit(2).encode())
    code, out, _ = lethe("ingest-log", log, "--report", report)
    assert code == 0
    assert len(events()) == 2
    assert report.read_text().splitlines() == [
        f"line {number}: line: is neither Common nor Combined Log Format" for number in range(2, 32)
    ]
    assert out.count("line: is neither") == 21, "the first twenty, and the summary"
    assert "jane" not in out


@pytest.mark.parametrize(
    ("content", "code"), [("", 0), (visit(1), 0), ("junk\n", 1), (f"junk\n{visit(1)}", 0)]
)
def test_exit_code_tells_whether_anything_went_in(
    lethe: Run, logs: Path, content: str, code: int
) -> None:
    log = logs / "access.log"
    log.write_text(content)
    assert lethe("ingest-log", log).code == code


@pytest.mark.parametrize("command", ["ingest-log", "publish"])
def test_what_an_operator_can_mend_is_one_line_and_code_2(
    lethe: Run, logs: Path, command: str
) -> None:
    code, out, err = lethe(command, logs / "none.log")
    assert (code, out) == (2, "")
    assert "No such file" in err
    assert "Traceback" not in err


def test_following_loses_nothing_to_kills_and_rotation(
    start: Start, events: Events, logs: Path, settings: Settings
) -> None:
    """SIGKILL at random three times, one rotation; then Ctrl-C, which ends it well."""
    log = logs / "access.log"
    place = settings.data_dir / "logs-state" / "shop.example-access.json"
    random_ = random.Random(7)
    number = 0

    def write(count: int) -> None:
        nonlocal number
        with log.open("a") as file:
            for _ in range(count):
                file.write(visit(number))
                number += 1

    def progress(process: subprocess.Popen[str]) -> None:
        """Write until the follower has saved a place."""
        before = place.read_bytes() if place.exists() else b""
        until = time.monotonic() + 30
        while not place.exists() or place.read_bytes() == before:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until
            write(1)
            time.sleep(0.01)

    write(3_000)
    for kill in range(3):
        process = start("ingest-log", log, "--follow")
        progress(process)
        for _ in range(random_.randrange(20)):
            write(100)
            time.sleep(0.01)
        process.kill()
        end(process)
        if kill == 1:
            write(100)
            log.rename(logs / "access.log.1")
        write(100)
    process = start("ingest-log", log, "--follow")
    until = time.monotonic() + 40
    while json.loads(place.read_text())["offset"] != log.stat().st_size:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, place.read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    code, out, err = end(process)
    assert code == 0, err
    assert "published" in out
    found = events()
    assert len({event["event_id"] for event in found}) == number
    assert {event["page"] for event in found} == {f"/page/{n}?q=1" for n in range(number)}


def test_publish_takes_json_lines(start: Start, events: Events) -> None:
    code, out, err = end(
        start("publish"),
        '{"type": "page_view", "page": "/", "ip": "198.51.100.77"}\n'
        '{"type": "page_view", "user_id": "jane"}\n'
        '{"type": "click", "cookie_id": "c-1"}\n',
    )
    assert code == 1, err
    assert "line 2: user_id: is refused: tracking is never linked to a user" in out
    assert "jane" not in out + err
    assert {(e["type"], e["ip"]) for e in events()} == {
        ("page_view", "198.51.100.0"),
        ("click", None),
    }
