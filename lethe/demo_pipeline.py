"""What the parts of the demo share: how they send, how they wait, and how they end badly."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import aiohttp

from lethe.standins.account import SITE
from streams.settings import Settings

LOOK_SECONDS = 0.1
PATIENCE = 120.0  # seconds for what should come

Found = TypeVar("Found")


class DemoError(RuntimeError):
    """Raised when something came that must not, or did not come that should."""


class Pipeline:
    """A pipeline that runs, as ``SITE`` and a spectator meet it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    async def post(self, path: str, content: Mapping[str, Any]) -> Any:
        """Send to the collector in the name of ``SITE``, and return its answer. Raise DemoError."""
        url = f"http://127.0.0.1:{self.settings.collector.port}{path}"
        headers = {"X-Lethe-Key": self.settings.sites[SITE].keys[0]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=content, headers=headers) as response,
        ):
            if response.status != 202:
                raise DemoError(f"{path}: the collector answered {response.status}")
            return await response.json()

    async def until(
        self,
        look: Callable[[], Awaitable[Found | None]],
        what: str,
        show: Callable[[], None] = lambda: None,
    ) -> Found:
        """Look again and again until there is something, and return it. Raise DemoError."""
        clock = asyncio.get_running_loop().time
        give_up_at = clock() + PATIENCE
        while not (found := await look()):
            if clock() > give_up_at:
                logs = self.settings.data_dir / "logs"
                raise DemoError(f"waited {PATIENCE:g} s for {what}; see {logs}")
            await asyncio.sleep(LOOK_SECONDS)
            show()
        return found
