"""A proxy that does to connections what it says, and forwards every byte where nothing is wrong."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.network import Proxy, Trouble

BYTES = bytes(range(256)) * 1_000


@pytest.fixture
def echo() -> Iterator[int]:
    """Answer what comes with the same; give the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection: socket.socket) -> None:
        try:
            while data := connection.recv(65_536):
                connection.sendall(data)
        except OSError:
            pass
        connection.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy(echo) as made:
        yield made


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def ask(connection: socket.socket, data: bytes) -> bytes:
    """Send, and return what comes until as much is back, or until the connection ends."""
    threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
    found = b""
    while len(found) < len(data) and (some := connection.recv(65_536)):
        found += some
    return found


def is_reset(proxy: Proxy) -> bool:
    """Tell whether a new connection ends by a reset, at once or when it is used."""
    try:
        with connect(proxy) as connection:
            connection.sendall(b"one")
            connection.recv(1)
    except ConnectionError:
        return True
    return False


def test_where_nothing_is_wrong_every_byte_arrives_and_so_does_the_end(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, BYTES) == BYTES
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert not proxy.met


def test_a_cut_resets_what_is_open_and_what_is_new_until_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"one") == b"one"
        with proxy.troubled(Trouble(cut=True)):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
            assert is_reset(proxy)
        assert proxy.met >= 2
    with connect(proxy) as connection:
        assert ask(connection, b"three") == b"three"


def test_what_was_silent_stays_so_and_what_comes_later_is_answered(proxy: Proxy) -> None:
    with connect(proxy) as old:
        assert ask(old, b"one") == b"one"
        with proxy.troubled(Trouble(silent=True)), connect(proxy) as new:
            for each in (old, new):
                each.settimeout(0.2)
                each.sendall(b"two")
                with pytest.raises(TimeoutError):
                    each.recv(1)
        old.sendall(b"three")
        with pytest.raises(TimeoutError):
            old.recv(1)
    with connect(proxy) as connection:
        assert ask(connection, b"four") == b"four"


def test_a_delay_comes_before_each_direction(proxy: Proxy) -> None:
    with connect(proxy) as connection, proxy.troubled(Trouble(delay=0.1)):
        began = time.monotonic()
        assert ask(connection, b"one") == b"one"
        assert time.monotonic() - began >= 0.2


def test_a_connection_is_reset_after_so_many_bytes(proxy: Proxy) -> None:
    with connect(proxy) as connection, proxy.troubled(Trouble(reset_after=1_000)):
        assert ask(connection, b"x" * 900) == b"x" * 900
        with pytest.raises(ConnectionResetError):
            ask(connection, b"x" * 900)


def test_what_drips_comes_whole_and_at_once_when_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        with proxy.troubled(Trouble(drip=10)):
            began = time.monotonic()
            assert ask(connection, b"x" * 40) == b"x" * 40
            assert time.monotonic() - began >= 0.15
            threading.Thread(target=connection.sendall, args=(BYTES,), daemon=True).start()
            assert connection.recv(1) == BYTES[:1]
        found = BYTES[:1]
        while len(found) < len(BYTES):
            found += connection.recv(65_536)
        assert found == BYTES


def test_lost_packets_cost_time_and_no_byte(echo: int) -> None:
    with Proxy(echo, seed="lossy") as proxy, connect(proxy) as connection:
        with proxy.troubled(Trouble(loss=0.5)):
            began = time.monotonic()
            assert ask(connection, b"x" * 6_000) == b"x" * 6_000
            assert time.monotonic() - began >= 0.2
        assert ask(connection, BYTES) == BYTES


def test_a_server_that_is_away_looks_so(proxy: Proxy, echo: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    proxy.target = nobody
    assert is_reset(proxy)
    proxy.target = echo
    with connect(proxy) as connection:
        assert ask(connection, b"two") == b"two"
