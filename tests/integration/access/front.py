"""Something that stands before the broker, as whoever shows another certificate would."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class Front:
    """Ends TLS with a certificate, and passes on to the broker over TLS what it is told."""

    def __init__(self, certificate: Path, trusting: ssl.SSLContext, broker: int) -> None:
        self._serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._serving.load_cert_chain(certificate)
        self._trusting = trusting
        self._broker = broker
        self.told = 0
        """Bytes that clients have told it: none, unless they took it for the broker."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Listen on a free port until the context ends; gives host and port."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=self._serving)
        host, port = server.sockets[0].getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    async def _pass_on(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        reach = asyncio.open_connection("127.0.0.1", self._broker, ssl=self._trusting)
        broker, forth = await reach
        with suppress(OSError):
            await asyncio.gather(self._copy(client, forth, 1), self._copy(broker, back, 0))

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, counts: int
    ) -> None:
        while content := await source.read(65_536):
            self.told += counts * len(content)
            target.write(content)
            await target.drain()
        target.close()
