"""A bad network: a proxy of TCP connections that cuts, delays, swallows, drips and loses.

It stands between clients and one server. What is wrong is a ``Trouble``, which may change while
connections are open. Packets are lost by the kernel where it can (``apart.losing``). Here it only
looks like it: to whoever uses TCP a lost packet is a pause until it is sent again.
"""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Any, Final, Self

from tests.chaos import apart
from tests.chaos.faults import Fault
from tests.chaos.stack import Stack, wait

NETWORK: Final = "network"  # what a ground offers: a proxy before each server, by its name
NEEDS: Final = frozenset({NETWORK})

CHUNK: Final = 65_536  # bytes
CONNECT_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 0.2  # Linux waits so long before it sends a packet again; then twice as long
DRIP_SECONDS: Final = 0.05
SEGMENT: Final = 1_448  # bytes


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a network; nothing, as it stands."""

    cut: bool = False  # connections are reset, and new ones, too
    # Nothing comes of connections, neither data nor an end; not even when all is well again, as
    # when what is between has forgotten them.
    silent: bool = False
    delay: float = 0.0  # seconds, for all that is on the way
    drip: int = 0  # bytes that come at a time, twenty times a second
    reset_after: int = 0  # bytes in either direction, after which a connection is reset
    loss: float = 0.0  # the share of packets that are lost


FINE: Final = Trouble()


@dataclass(eq=False, slots=True)
class _Connection:
    ends: list[asyncio.StreamWriter] = field(default_factory=list)
    forgotten: bool = False

    def reset(self) -> None:
        for each in self.ends:
            with suppress(OSError):
                off_at_once = struct.pack("ii", 1, 0)
                each.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, off_at_once
                )
            each.transport.abort()


class Proxy:
    """Forwards a port of its own to ``target``, another of this machine, in a thread of its own."""

    def __init__(self, target: int, port: int = 0, seed: object = 0) -> None:
        """Listen on ``port``; 0: any free one."""
        self.target = target
        self.port = port
        self.met = 0  # how often a trouble has met somebody
        self._random = Random(f"{seed}")
        self._trouble = FINE
        self._open: dict[asyncio.Task[Any], _Connection] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def troubled(self, trouble: Trouble) -> Iterator[None]:
        """Have this trouble until the block ends."""
        self._do(self._change(trouble))
        try:
            yield
        finally:
            self._do(self._change(FINE))

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _change(self, trouble: Trouble) -> None:
        self._trouble = trouble
        for each in list(self._open.values()):
            each.forgotten |= trouble.silent
            if trouble.cut:
                self.met += 1
                each.reset()

    async def _close(self) -> None:
        self._server.close()
        tasks = list(self._open)
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a client and the server until one of them closes."""
        task = asyncio.current_task()
        assert task is not None
        this = self._open[task] = _Connection([writer], forgotten=self._trouble.silent)
        try:
            if self._trouble.cut:
                self.met += 1
                return
            async with asyncio.timeout(CONNECT_SECONDS):
                back, there = await asyncio.open_connection("127.0.0.1", self.target)
            this.ends.append(there)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(this, reader, there))
                both.create_task(self._pump(this, back, writer))
        except* (OSError, TimeoutError):
            pass
        except* asyncio.CancelledError:
            pass  # all ends
        finally:
            del self._open[task]
            this.reset()

    async def _pump(
        self, this: _Connection, source: asyncio.StreamReader, target: asyncio.StreamWriter
    ) -> None:
        """Forward one direction, and its end."""
        passed = 0
        while data := await source.read(CHUNK):
            trouble = self._trouble
            self.met += this.forgotten or trouble is not FINE
            if trouble.delay or trouble.loss:
                await asyncio.sleep(trouble.delay + self._lost(len(data), trouble.loss))
            if this.forgotten:
                continue
            passed += len(data)
            if trouble.reset_after and passed > trouble.reset_after:
                target.write(data[: trouble.reset_after])
                raise ConnectionResetError
            await self._write(target, data)
        if this.forgotten:
            raise ConnectionResetError  # to be rid of it; whoever is at the other end would wait
        with suppress(OSError):
            target.write_eof()

    async def _write(self, target: asyncio.StreamWriter, data: bytes) -> None:
        while data:
            step = self._trouble.drip or len(data)
            some, data = data[:step], data[step:]
            target.write(some)
            await target.drain()
            if self._trouble.drip:
                await asyncio.sleep(DRIP_SECONDS)

    def _lost(self, size: int, loss: float) -> float:
        """Return for how many seconds nothing comes of ``size`` bytes: lost ones are sent again."""
        wait, again = 0.0, AGAIN_SECONDS
        for _ in range(0, size, SEGMENT):
            while self._random.random() < loss:
                wait, again = wait + again, again * 2
        return wait


def troubled(
    make: Callable[[Random], Trouble], low: float, high: float
) -> Callable[[Stack, Random], str]:
    """Return what has one of the networks be in trouble for ``low`` to ``high`` seconds.

    It has met traffic then.
    """

    def inject(stack: Stack, random: Random) -> str:
        networks: dict[str, Proxy] = stack.ground.offers[NETWORK]
        name = random.choice(sorted(networks))
        proxy, before = networks[name], networks[name].met
        with proxy.troubled(make(random)):
            time.sleep(random.uniform(low, high))
            # A writer notices only after half a minute that its connection is dead.
            wait(lambda: proxy.met >= before + 3, f"the network of {name} to be used", 120)
        stack.flow()
        return f"to {name}"

    return inject


def lossy(stack: Stack, _: Random) -> str:
    """Lose five of a hundred packets between all processes for ten seconds."""
    try:
        with apart.losing(5) as lost:
            wait(lambda: lost() >= 50, "packets to be lost")
            time.sleep(10)
    except (FileNotFoundError, apart.RefusedError):
        networks: dict[str, Proxy] = stack.ground.offers[NETWORK]
        before = sum(each.met for each in networks.values())
        with ExitStack() as all_of_them:
            for each in networks.values():
                all_of_them.enter_context(each.troubled(Trouble(loss=0.05)))
            time.sleep(10)
            wait(lambda: sum(each.met for each in networks.values()) > before, "packets")
        return "by the proxy: no namespaces here"
    return "by the kernel"


def _always(trouble: Trouble) -> Callable[[Random], Trouble]:
    return lambda _: trouble


FAULTS = (
    Fault("network cut", troubled(_always(Trouble(cut=True)), 1, 4), NEEDS, nightly=20),
    Fault("network slow by 1 s", troubled(_always(Trouble(delay=1)), 4, 8), NEEDS, nightly=20),
    Fault("network half-open", troubled(_always(Trouble(silent=True)), 2, 6), NEEDS, nightly=20),
    Fault(
        "network resets in the middle",
        troubled(lambda random: Trouble(reset_after=random.randrange(100, 20_000)), 2, 5),
        NEEDS,
        nightly=20,
    ),
    Fault(
        "network drips",
        troubled(lambda random: Trouble(drip=random.randrange(20, 200)), 2, 5),
        NEEDS,
        nightly=20,
    ),
    Fault("network loses 5 % of packets", lossy, NEEDS, nightly=20),
)
