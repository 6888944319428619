"""A connection that is dead and does not say so: nobody waits for it for ever."""

import threading
import time

import pytest

from sinks.clickhouse.client import ClickHouseDownError, Client
from streams.settings import Settings
from tests.chaos.network import Proxy, Trouble

pytestmark = [pytest.mark.clickhouse, pytest.mark.usefixtures("database")]

SILENCE = 2.0


def test_an_answer_that_never_comes_is_not_waited_for_and_the_next_use_opens_another(
    settings: Settings,
) -> None:
    there, over = settings.clickhouse, threading.Event()
    password = (settings.secrets / "clickhouse-admin").read_text().strip()

    def forget(network: Proxy) -> None:
        with network.troubled(Trouble(silent=True)):
            over.wait()

    with (
        Proxy(there.port) as network,
        Client(
            there.host, network.port, there.database, "admin", password,
            patience=SILENCE, silence=SILENCE,
        ) as client,
    ):  # fmt: skip
        assert client.query("SELECT 1") == [(1,)]
        forgetting = threading.Timer(0.5, forget, [network])
        forgetting.start()
        asked = time.monotonic()
        with pytest.raises(ClickHouseDownError):
            client.query("SELECT sleep(3)")  # meanwhile it tells ten times a second how far it is
        assert time.monotonic() - asked < 10 * SILENCE
        over.set()
        forgetting.join()
        assert client.query("SELECT 1") == [(1,)]
