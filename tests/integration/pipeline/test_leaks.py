"""No full address is left in any file, whichever door it came through (S9, S11)."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lethe import Publisher
from lethe.audit import search
from lethe.audit.needles import Needles, readable
from lethe.cli.ingest_log import command
from lethe.local.engines import Engines
from tests.real_log import REAL_LOG

pytestmark = [pytest.mark.broker, pytest.mark.clickhouse]

# Nobody else's tests use these.
HTTP = [f"203.0.113.{n}" for n in range(180, 200)] + [f"2001:db8:77:a::{n:x}" for n in range(9, 29)]
SDK = [f"203.0.113.{n}" for n in range(200, 220)] + [f"2001:db8:77:b::{n:x}" for n in range(9, 29)]
RAW = [f"203.0.113.{n}" for n in range(220, 240)] + [f"2001:db8:77:c::{n:x}" for n in range(9, 29)]
LOG = [f"203.0.113.{n}" for n in range(100, 120)] + [f"2001:db8:77:d::{n:x}" for n in range(9, 29)]


@contextmanager
def collector(pipeline: Any) -> Iterator[str]:
    """Run the collector as a process; give its address."""
    child = subprocess.Popen(
        [sys.executable, "-m", "lethe", "collect", "--port", "0"],
        env=pipeline.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        yield child.stdout.readline().split()[-1]
    finally:
        child.terminate()
        assert child.wait(30) == 0


def post(address: str, visitors: list[str]) -> None:
    events = [{"type": "page_view", "page": "/tea", "ip": visitor} for visitor in visitors]
    request = urllib.request.Request(
        f"{address}/v1/events", json.dumps(events).encode(),
        {"X-Lethe-Key": "shop-key", "Content-Type": "application/json"},
    )  # fmt: skip
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 202


def send(pipeline: Any, visitors: list[str], *, raw: bool) -> None:
    kafka = pipeline.settings.kafka
    with Publisher(kafka.bootstrap, "shop.example", prefix=kafka.prefix, raw=raw) as publisher:
        for visitor in visitors:
            publisher.publish({"type": "page_view", "page": "/tea"}, address=visitor)


def ingest(pipeline: Any, log: Path) -> int:
    result = CliRunner(env=pipeline.environment).invoke(
        command, [str(log), "--site", "shop.example"]
    )
    assert result.exit_code == 0, result.output
    return sum(1 for _ in log.open("rb"))


def test_no_full_address_is_on_disk(pipeline: Any, engines: Engines, tmp_path: Path) -> None:
    logs = tmp_path / "not-searched"
    logs.mkdir()
    made = logs / "made.log"
    line = '{} - - [20/Nov/2026:10:00:00 +0000] "GET /tea HTTP/1.1" 200 1 "-" "Firefox/140.0"\n'
    made.write_text("".join(line.format(visitor) for visitor in LOG))
    with collector(pipeline) as address:
        post(address, HTTP)
    send(pipeline, SDK, raw=False)
    count = len(HTTP) + len(SDK) + ingest(pipeline, made)
    went_in = [*HTTP, *SDK, *LOG]
    # Apache Kafka hides deleted records at once and removes them with their segment, within the
    # topic's 15 minutes: longer than a test should take.
    if os.environ.get("LETHE_TEST_BROKER", "embedded") == "embedded":
        send(pipeline, RAW, raw=True)
        went_in += RAW
        count += len(RAW)
    if REAL_LOG.exists():
        count += ingest(pipeline, REAL_LOG)
        first = (line.split(" ", 1)[0] for line in REAL_LOG.read_text().splitlines())
        went_in += [each for each in first if readable(each)]
    pipeline.load(count, "anonymise", "anonymise-raw", "load")
    pipeline.delete_raw()

    needles = Needles(went_in)
    folders = [engines.settings.data_dir, pipeline.settings.data_dir / "keys"]
    pipeline.until(lambda: not search(folders, needles).hits, "deleted records to be gone")
    findings = search(folders, needles)
    assert findings.files > 20
    assert any("block" in how for how in findings.opened), "ClickHouse's blocks were opened"
    assert any("record batch" in how for how in findings.opened), "Kafka's batches were opened"
    assert findings.hits == set()
    assert "203.0.113.0" not in needles.addresses

    planted = engines.settings.data_dir / "planted"
    planted.write_bytes(b"x" * 999 + HTTP[0].encode() + b"\x00")
    try:
        assert {path for path, _, _ in search(folders, needles).hits} == {str(planted)}
    finally:
        planted.unlink()


def test_no_table_has_a_column_for_addresses(pipeline: Any) -> None:
    """Four bytes of an IPv4 address cannot be told from others, so no column may hold them."""
    types = pipeline.query("SELECT type FROM system.columns WHERE database = currentDatabase()")
    assert types
    assert not [kind for (kind,) in types if "IPv" in kind]


def test_the_broker_is_searched_where_it_keeps_its_data(pipeline: Any, engines: Engines) -> None:
    """What the raw topic holds before it is read is found: the search would see a leak there."""
    send(pipeline, ["203.0.113.250"], raw=True)
    needles = Needles(["203.0.113.250"])
    pipeline.until(
        lambda: bool(search([engines.settings.data_dir], needles).hits), "the broker to write"
    )
    pipeline.delete_raw()
