"""Ads with consent, live: invented visitors choose and visit, and the stand-ins show of whom."""

import asyncio
import json
import random
import uuid
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.live import Live
from rich.table import Table

from lethe.demo_pipeline import DemoError, Pipeline
from lethe.standins.account import POLICY, SITE, ad_ids
from lethe.standins.desk import Call, Desk
from lethe.standins.server import tally
from privacy.consent import Decision
from privacy.outcome import Reason
from privacy.policy import Covers
from sinks.ads import hashing
from sinks.ledger import consents
from streams import policy
from streams.settings import Settings
from streams.shared import open_ledger

VISITORS = 21  # who say yes
PATHS = ("/tea", "/samples", "/thanks")  # a page, one that makes a member, a conversion
REMOVING = {"ga4", "meta"}  # who can remove something of what they are told here


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody on ``SITE``, with what the providers' cookies and clicks left."""

    cookie_id: str = field(repr=False)
    ad_ids: Mapping[str, str] = field(repr=False)

    def is_in(self, text: str) -> bool:
        """Tell whether a text holds anything that stands for the visitor."""
        marks = (self.cookie_id, hashing.member(SITE, self.cookie_id), *self.ad_ids.values())
        return any(mark in text for mark in marks)


class AdsDemo:
    """One run on a stack whose providers are the stand-ins of ``desk``; ``seed`` names visitors."""

    def __init__(self, console: Console, settings: Settings, desk: Desk, *, seed: int) -> None:
        self._console = console
        self._settings = settings
        self._pipeline = Pipeline(settings)
        self._desk = desk
        self._random = random.Random(seed)  # noqa: S311 - nothing secret
        promised = policy.load(POLICY)
        (self._purpose,) = promised.covering(Covers.ADS)
        self._owed = {
            name: VISITORS
            * (len(PATHS) * each.pages + bool(each.conversions) + len(each.audiences))
            for name, each in promised.providers.items()
        }
        self._visitors = [
            Visitor(f"demo-{seed:08x}-{number}", ad_ids((seed + number) % 2**32))
            for number in range(VISITORS + 1)
        ]
        *self._consented, self._unasked = self._visitors
        self._leaver = self._consented[-1]

    async def run(self) -> str:
        """Have them choose and visit, show of whom providers are told and what is held back.

        Returns the cookie id of who withdrew. Raises DemoError and LedgerError.
        """
        self._console.print(
            f"\n[bold]Ads with consent[/]: {VISITORS} visitors of {SITE} say yes, one is never "
            "asked; all visit. The providers are stand-ins on this machine."
        )
        given = (self._choose(each, Decision.GIVEN) for each in self._consented)
        epochs = await asyncio.gather(*given)
        try:
            with Live(console=self._console, auto_refresh=False, transient=True) as live:

                def show() -> None:
                    live.update(self._table(), refresh=True)

                # The site claims a consent for the one never asked, too: somebody else's.
                await asyncio.gather(*map(self._visit, self._visitors, [*epochs, epochs[-1]]))
                await self._pipeline.until(self._all_told, "what visitors who said yes did", show)
        finally:
            self._console.print(self._table())
        await self._held_back("the one never asked", Reason.CONSENT_UNKNOWN)
        told = self._told_of(self._leaver)
        await self._withdraw()
        await self._visit(self._leaver, epochs[-1])
        await self._held_back(self._leaver.cookie_id, Reason.CONSENT_WITHDRAWN)
        if self._told_of(self._leaver) != told:
            raise DemoError("a provider was told of a visitor after the withdrawal was effective")
        self._require_untold()
        await self._pipeline.until(
            self._all_removed, f"the removal from {' and '.join(sorted(REMOVING))}"
        )
        self._console.print(
            f"No provider was told of either, and {' and '.join(sorted(REMOVING))} were asked to "
            f"remove {self._leaver.cookie_id}."
        )
        return self._leaver.cookie_id

    async def _choose(self, visitor: Visitor, decision: Decision) -> int:
        """Record a decision and return its epoch."""
        change = {
            "cookie_id": visitor.cookie_id,
            "purpose": self._purpose,
            "decision": decision,
            "notice_id": "banner",
            "notice_version": "1",
            "how": "banner",
        }
        answer = await self._pipeline.post("/v1/consent", change)
        return int(answer["epochs"][self._purpose])

    async def _visit(self, visitor: Visitor, epoch: int) -> None:
        """Visit every page of PATHS."""
        visits = [
            {
                "event_id": str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
                "type": "page_view",
                "page": f"https://{SITE}{path}",
                "cookie_id": visitor.cookie_id,
                "ip": "192.0.2.7",
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0",
                "consent_epoch": epoch,
                "ad_ids": visitor.ad_ids,
            }
            for path in PATHS
        ]
        await self._pipeline.post("/v1/events", {"events": visits})

    async def _withdraw(self) -> None:
        """Withdraw, and show when that was recorded and how soon nothing could leave any more."""
        await self._choose(self._leaver, Decision.WITHDRAWN)
        with closing(open_ledger(self._settings)) as ledger:

            async def effective() -> tuple[int, int] | None:
                with ledger.reading() as connection:
                    changes = consents.history(connection, SITE, self._leaver.cookie_id)
                found = ((e.recorded_at, e.effective_at) for e in changes if e.effective_at)
                return next(found, None)

            recorded_at, effective_at = await self._pipeline.until(
                effective, "the withdrawal to be effective"
            )
        recorded = datetime.fromtimestamp(recorded_at / 1000, UTC).time()
        self._console.print(
            f"{self._leaver.cookie_id} withdraws: recorded {recorded.isoformat('milliseconds')} "
            f"UTC, effective {effective_at - recorded_at} ms later"
        )

    async def _held_back(self, who: str, reason: Reason) -> None:
        """Wait until the visits of one visitor were held back from every provider, and say so."""
        url = f"http://127.0.0.1:{self._settings.metrics_port}/metrics"
        due = len(PATHS) * len(self._owed)

        async def counted() -> bool:
            try:
                async with aiohttp.ClientSession() as session, session.get(url) as response:
                    families = text_string_to_metric_families(await response.text())
            except aiohttp.ClientError:  # the worker starts again
                return False
            samples = [each for family in families for each in family.samples]
            return due == sum(
                each.value
                for each in samples
                if each.name == "lethe_ads_held_back_total" and each.labels["reason"] == reason
            )

        await self._pipeline.until(counted, f"{due} events held back by {reason}")
        self._console.print(
            f"{len(PATHS)} visits of {who} are held back from all {len(self._owed)} providers: "
            f"{reason}"
        )

    def _require_untold(self) -> None:
        if self._told_of(self._unasked):
            raise DemoError("a provider was told of a visitor who was never asked")

    async def _all_told(self) -> bool:
        self._require_untold()
        told, met = self._told(), tally(self._desk)
        return all(
            met[name].events == owed and all(told[name, each.cookie_id] for each in self._consented)
            for name, owed in self._owed.items()
        )

    def _told_of(self, visitor: Visitor) -> int:
        """Return how many calls told any provider of a visitor."""
        return sum(
            calls
            for (_, cookie_id), calls in self._told().items()
            if cookie_id == visitor.cookie_id
        )

    def _told(self) -> Counter[tuple[str, str]]:
        """Return how many calls told a provider of a visitor, by cookie id; removals do not."""
        told: Counter[tuple[str, str]] = Counter()
        for call, answer in self._desk.calls.copy():
            if not answer.removed:
                text = _text(call)
                told.update(
                    (call.provider, each.cookie_id) for each in self._visitors if each.is_in(text)
                )
        return told

    async def _all_removed(self) -> bool:
        """Tell whether who withdrew was removed from where the providers offer it."""
        asked = {
            call.provider
            for call, answer in self._desk.calls.copy()
            if answer.removed and self._leaver.is_in(_text(call))
        }
        return asked == REMOVING

    def _table(self) -> Table:
        table = Table("provider", title="What arrives", title_justify="left")
        for column in ("events", "visitors who said yes", "never asked"):
            table.add_column(column, justify="right")
        told, met = self._told(), tally(self._desk)
        for name, owed in self._owed.items():
            known = sum(bool(told[name, each.cookie_id]) for each in self._consented)
            table.add_row(
                name,
                f"{met[name].events} of {owed}",
                f"{known} of {VISITORS}",
                str(told[name, self._unasked.cookie_id]),
            )
        return table


def _text(call: Call) -> str:
    return json.dumps([dict(call.query), call.content])
