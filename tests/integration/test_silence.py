"""A broker that says nothing more: whoever asked it comes back, and their process can end."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL
from threading import Event, Thread

import pytest

from lethe.local import brokers, packages
from lethe.local.process import choose_port, start_together, stop_together
from sinks.kafka import BatchProducer, consumer, poll
from sinks.kafka_admin import create_topics
from tests.chaos.network import Proxy, Trouble
from tests.engines import or_skipped
from tests.waiting import until

pytestmark = pytest.mark.kafka

TOPIC, GROUP = "tracking-events", "silence"
SESSION = {"session.timeout.ms": "6000"}  # a reader that is gone is missed after so long
BOUND = 2.0  # seconds; half a minute outside of tests

READER = f"""
import sys
from sinks import bounded
from sinks.kafka import commit, consumer, poll

bounded.ANSWER_SECONDS = {BOUND}
source = consumer(sys.argv[1], "{GROUP}", {SESSION})
source.subscribe(["{TOPIC}"])
while not (found := poll(source, 1, 0.1)):
    pass
print(found[0].value().decode(), flush=True)
sys.stdin.readline()
try:
    commit(source, found)
finally:
    source.close()
"""


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Proxy]:
    """Run a broker that is reached through a network."""
    port = choose_port(0)
    with Proxy(port) as between:
        with or_skipped():
            broker = brokers.kafka(
                packages.kafka_jars(), tmp_path / "kafka", tmp_path / "log", port,
                advertised=between.port,
            )  # fmt: skip
            start_together([broker])
        yield between
        broker.send(SIGKILL)  # nobody needs what is there
        stop_together([broker])


def test_a_commit_that_is_not_answered_ends_its_process_and_others_read_on(network: Proxy) -> None:
    bootstrap = f"127.0.0.1:{network.port}"
    assert create_topics(bootstrap, {}) == []
    producer = BatchProducer(bootstrap, {})
    producer.send(TOPIC, [b"one"])
    producer.stored()
    over = Event()

    def forget() -> None:
        with network.troubled(Trouble(silent=True)):
            over.wait()

    forgetting = Thread(target=forget)
    with subprocess.Popen(
        [sys.executable, "-c", READER, bootstrap],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as reader:  # fmt: skip
        assert reader.stdout is not None
        assert reader.stdout.readline() == "one\n"
        forgetting.start()
        asked = time.monotonic()
        try:
            told, said = reader.communicate("go on\n", timeout=20 * BOUND)
        except subprocess.TimeoutExpired:
            reader.kill()
            raise
        finally:
            over.set()
            forgetting.join()
    assert time.monotonic() - asked >= BOUND
    assert reader.returncode == 1
    assert "NoAnswerError" in said
    assert "consumer_not_closed" in told
    source = consumer(bootstrap, GROUP, SESSION)
    source.subscribe([TOPIC])
    (again,) = until(lambda: poll(source, 1, 0.1), "what was not committed")
    source.close()
    assert again.value() == b"one"
