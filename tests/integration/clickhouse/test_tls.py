"""TLS to ClickHouse: who is not certified, or for another host, gets no password to see.

The embedded engine speaks no TLS: a proxy in front of it does.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lethe.local.engines import Engines
from sinks.clickhouse.client import ClickHouseDownError
from sinks.clickhouse.connect import connect
from streams.settings import ClickHouse, Settings
from tests.authority import Authority
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.clickhouse

HOST = "127.0.0.1"


class Proxy:
    """Ends TLS on a port of its own before ClickHouse's; counts what got through it."""

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self._behind = port
        self._tls = tls
        self.port = 0
        self.carried = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self._behind)
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while content := await source.read(65_536):
                self.carried += len(content)
                sink.write(content)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Run it in a thread for as long as the context lasts."""
        ready = threading.Event()
        loop, stop = asyncio.new_event_loop(), asyncio.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self._serve, HOST, 0, ssl=self._tls)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert ready.wait(10)
        yield self
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    (tmp_path / "ca.pem").write_text(made.certificate)
    return made


Ask = Callable[[ssl.SSLContext], tuple[int, int]]


@pytest.fixture
def ask(settings: Settings, clickhouse_server: object, tmp_path: Path) -> Iterator[Ask]:
    """Return what asks ClickHouse through a proxy: the answer, and the bytes that it carried."""
    del clickhouse_server
    with connect(settings.clickhouse, "admin", settings.secrets) as admin:
        admin.create_database()
    with ExitStack() as stack:

        def through(tls: ssl.SSLContext | None) -> tuple[int, int]:
            proxy = stack.enter_context(Proxy(settings.clickhouse.port, tls).running())
            place = ClickHouse(host=HOST, port=proxy.port, secure=True, ca=tmp_path / "ca.pem")
            with connect(place, "analyst", settings.secrets, patience=0) as client:
                try:
                    ((answer,),) = client.query("SELECT 1")
                except ClickHouseDownError:
                    answer = 0
            return answer, proxy.carried

        yield through


def test_who_is_certified_is_spoken_to(ask: Ask, authority: Authority) -> None:
    answer, carried = ask(authority.serving(HOST))
    assert answer == 1
    assert carried > 0


def _old(authority: Authority) -> ssl.SSLContext:
    context = authority.serving(HOST)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def _expired(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("server", HOST, days=-1))
    return context


@pytest.mark.parametrize(
    "tls",
    [
        pytest.param(lambda authority: authority.serving("127.0.0.2"), id="another host"),
        pytest.param(_expired, id="expired"),
        pytest.param(_old, id="TLS 1.1"),
        pytest.param(lambda _: None, id="plaintext"),
    ],
)
def test_who_is_not_is_sent_nothing(
    ask: Ask,
    authority: Authority,
    tls: Callable[[Authority], ssl.SSLContext],
    engines: Engines,
    settings: Settings,
) -> None:
    process = engines.supervisor.find("clickhouse")
    served, before = tls(authority), process.restarts
    answer, carried = ask(served)
    assert answer == 0
    if served is not None:
        assert carried == 0
        return
    # The embedded engine aborts at a greeting that it does not know; others go on when it is back.
    until(lambda: process.restarts > before, "the restart")
    with connect(settings.clickhouse, "admin", settings.secrets, patience=PATIENCE) as admin:
        assert admin.query("SELECT 1") == [(1,)]


def test_another_authority_is_not_believed(ask: Ask, authority: Authority, tmp_path: Path) -> None:
    del authority  # is the one that is trusted
    (tmp_path / "other").mkdir()
    assert ask(Authority(tmp_path / "other").serving(HOST)) == (0, 0)


def test_whom_this_machine_trusts_is_the_default(settings: Settings, tmp_path: Path) -> None:
    """An authority that nobody named is none."""
    with Proxy(settings.clickhouse.port, Authority(tmp_path).serving(HOST)).running() as proxy:
        place = ClickHouse(host=HOST, port=proxy.port, secure=True)
        with (
            connect(place, "analyst", settings.secrets, patience=0) as client,
            pytest.raises(ClickHouseDownError, match="certificate"),
        ):
            client.query("SELECT 1")
