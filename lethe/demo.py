"""The main job once: made-up visitors, the whole pipeline, and what comes of it at both ends."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lethe.cli.geo import progress_bar
from lethe.cli.report import Kind, report
from lethe.demo_ads import AdsDemo
from lethe.demo_forms import FormsDemo
from lethe.demo_pipeline import DemoError
from lethe.demo_rights import RightsDemo
from lethe.local.stack import Stack
from lethe.simulation import Summary, run
from lethe.standins.account import POLICY, SITE, put_credentials, with_standins
from lethe.standins.server import in_thread
from lethe.traffic import Traffic
from sinks.clickhouse.connect import connect
from sinks.geo import ensure
from sinks.geo.sample import SAMPLE_CITIES
from streams.settings import Settings, SettingsError, load

RATE = 2_000.0  # events a second, less than the collector's burst for two sites
LEASE_SECONDS = 10.0
PATIENCE = 180.0  # seconds for the pipeline to finish what was accepted


class Demo:
    """One run: ``events`` events dated ``day``, the same for the same seed."""

    def __init__(self, console: Console, day: date, events: int, *, seed: int) -> None:
        self._console = console
        self._start = datetime.combine(day, time(), UTC)
        self._events = events
        self._seed = seed

    async def run(self) -> None:
        """Start everything, send, wait, show, stop.

        Raises EngineError, GeoError, SettingsError, UnreachableError, LedgerError, PolicyError and
        DemoError.
        """
        given = load(engines=False)
        if given.policy is not None or SITE not in given.sites:
            raise SettingsError(f"the demo has a policy of its own, of {SITE}: use an empty folder")
        put_credentials(given.secrets)
        # A demo does not wait a minute to see whether more of yesterday comes.
        hurried = given.statistics.model_copy(update={"settle_seconds": 3, "grace_minutes": 0})
        given = given.model_copy(update={"statistics": hurried})
        # One on a busy laptop should not see its worker ended for a lease that ran out.
        leased = given.ads.model_copy(update={"lease_seconds": LEASE_SECONDS})
        given = given.model_copy(update={"ads": leased})
        with progress_bar() as progress:
            ensure(given.geo.cache, given.geo.databases, progress)
        with (
            in_thread() as standins,
            Stack(with_standins(given, standins.url), "embedded", self._console.print) as stack,
        ):
            settings = stack.settings
            with self._bar() as bar:
                summary = await self._send(settings, bar)
                await self._wait(settings, summary.accepted, bar)
            self._console.print(
                f"{summary.accepted:,} events accepted, {summary.refused.total():,} of junk refused"
            )
            for kind in (Kind.PAGES, Kind.CITIES):
                report(kind, day=self._start, top=12)
            ads = AdsDemo(self._console, settings, standins.desk, seed=self._seed)
            cookie_id = await ads.run()
            deletion_id = await FormsDemo(self._console, settings, seed=self._seed).run()
            request_id = await RightsDemo(self._console, settings, seed=self._seed).run()
        here = Path.cwd()
        its_policy = POLICY.relative_to(here) if POLICY.is_relative_to(here) else POLICY
        self._console.print(
            f"\nLook closer: [bold].venv/bin/lethe consent history {SITE} {cookie_id}[/]\n"
            "             [bold].venv/bin/lethe deliveries[/]\n"
            f"             [bold].venv/bin/lethe deletions certificate {deletion_id}[/]\n"
            f"             [bold].venv/bin/lethe requests show {request_id}[/]\n"
            f"             [bold].venv/bin/lethe policy register {its_policy}[/]\n"
            "Go on:       [bold].venv/bin/lethe up[/]; data and logs are in "
            f"{settings.data_dir}",
            highlight=False,
            soft_wrap=True,
        )

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f} events"),
            TimeElapsedColumn(),
            console=self._console,
        )

    async def _send(self, settings: Settings, bar: Progress) -> Summary:
        traffic = Traffic(
            self._seed,
            list(settings.sites),
            SAMPLE_CITIES,
            start=_milliseconds(self._start),
            end=_milliseconds(self._start + timedelta(days=1)),
            events=self._events,
        )
        keys = {name: site.keys[0] for name, site in settings.sites.items()}
        task = bar.add_task("sent", total=self._events)
        return await run(
            f"http://127.0.0.1:{settings.collector.port}",
            traffic,
            keys,
            rate=RATE,
            patience=PATIENCE,
            on_progress=lambda summary: bar.update(task, completed=summary.sent),
        )

    async def _wait(self, settings: Settings, accepted: int, bar: Progress) -> None:
        """Watch the events arrive in ClickHouse and the day being closed."""
        loaded = bar.add_task("loaded", total=accepted)
        shown = bar.add_task("published", total=accepted)
        day = {"day": self._start.date()}
        deadline = asyncio.get_running_loop().time() + PATIENCE
        with connect(settings.clickhouse, "writer", settings.secrets) as client:
            while not bar.finished:
                ((count,),) = client.query(
                    "SELECT count() FROM facts FINAL WHERE toDate(occurred_at) = %(day)s", day
                )
                ((closed,),) = client.query(
                    "SELECT count() FROM facts FINAL WHERE (site, toDate(occurred_at)) IN "
                    "(SELECT site, day FROM periods FINAL WHERE day = %(day)s) AND loaded_at <= "
                    "(SELECT max(published_to) FROM periods FINAL WHERE day = %(day)s)",
                    day,
                )
                bar.update(loaded, completed=min(count, accepted))
                bar.update(shown, completed=min(closed, accepted))
                if asyncio.get_running_loop().time() > deadline:
                    logs = settings.data_dir / "logs"
                    raise DemoError(f"waited {PATIENCE:g} s for the statistics; see {logs}")
                await asyncio.sleep(0.2)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
