"""A form and its deletion, live: a visitor asks for a sample, gets it, and nobody knows of whom."""

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

from confluent_kafka import KafkaException, Message
from kafka.errors import KafkaError
from rich.console import Console
from rich.live import Live
from rich.table import Table

from lethe.case_keys import CaseKeys, KeysUnavailableError
from lethe.cli.cases import present
from lethe.cli.service_event import send
from lethe.demo_onlooker import Onlooker
from lethe.demo_pipeline import DemoError, Pipeline
from lethe.retention import ReceiptFailedError, RetentionWorker
from lethe.standins.account import POLICY, SITE
from lethe.standins.crm import Crm
from privacy.certificate import STEPS, Receipt, canonical, readable
from privacy.lifecycle import ServiceEvent
from schemas.codec import decode
from sinks.kafka import NotStoredError
from sinks.ledger import deletion
from sinks.ledger.deletion import Progress
from sinks.ledger.ledger import Ledger
from sinks.signing import Signer, verify
from streams import kafka_login, policy
from streams.keys import tokens
from streams.settings import Settings
from streams.shared import now, open_ledger

SERVICE = "sample-request"
HOLDER = "crm"

Answers = tuple[Progress, Sequence[Receipt]]


class FormsDemo:
    """One run on a pipeline whose policy is the stand-ins'; ``seed`` names the visitor."""

    def __init__(self, console: Console, settings: Settings, *, seed: int) -> None:
        self._console = console
        self._settings = settings
        self._pipeline = Pipeline(settings)
        promised = policy.load(POLICY)
        (self._reader,) = promised.services[SERVICE].departments
        self._other = next(each for each in promised.departments if each != self._reader)
        # Unlike anybody's, so that it can be searched for.
        self._personal = {
            "name": f"Robin Example {seed:08x}",
            "email": f"robin-{seed:08x}@example.com",
            "address": f"{seed} Example Street, 1234 Exampleton",
        }
        self._form = {**self._personal, "sample": "small"}
        self._id = str(uuid.UUID(int=seed, version=4))
        self._crm = Crm(settings.data_dir / "crm.db")

    async def run(self) -> str:
        """Send a form, show who can read it, report it done, and show how it goes.

        Returns the deletion's id. Raises DemoError, LedgerError and SettingsError.
        """
        self._console.print(
            f"\n[bold]A form, and its deletion[/]: a visitor of {SITE} asks for a sample. The CRM "
            "is an example on this machine."
        )
        try:
            with (
                closing(open_ledger(self._settings)) as ledger,
                closing(Onlooker(self._settings)) as onlooker,
            ):
                async with self._holder_outside():
                    case_id = await self._submit()
                    await self._show_case(onlooker, case_id)
                    since = await self._report(ServiceEvent.DELIVERED, case_id)
                    progress = await self._watch(ledger, case_id, since)
                await self._require_forgotten(ledger, onlooker, case_id)
        except (
            KafkaError,
            KafkaException,
            KeysUnavailableError,
            NotStoredError,
            ReceiptFailedError,
        ) as error:
            raise DemoError(f"{type(error).__name__}: {error}") from None
        self._show_certificate(progress)
        return progress.deletion.deletion_id

    async def _submit(self) -> str:
        form = {"fields": self._form, "idempotency_key": self._id}
        answer = await self._pipeline.post(f"/v1/forms/{SERVICE}", form)
        return str(answer["case_id"])

    async def _show_case(self, onlooker: Onlooker, case_id: str) -> None:
        """Show what the department reads, and what everybody else does."""

        async def read() -> Any:
            cases = await asyncio.to_thread(present, self._settings, self._reader, None)
            return cases.get(case_id)

        case = await self._pipeline.until(read, f"the case, as {self._reader} reads it")
        if case.fields != self._form:
            raise DemoError(f"{self._reader} reads something else than what was filled in")
        self._crm.keep(case_id, case.fields)
        if await asyncio.to_thread(self._key_given, self._other, case_id):
            raise DemoError(f"{self._other} is given the key of a case that is not its own")
        lies = await asyncio.to_thread(self._lies_on_topic, onlooker, case_id)
        if lies is None:
            raise DemoError(f"{self._reader} reads a case that its topic does not hold")
        record = decode("case", lies)
        table = Table("field", title=f"Case {case_id}", title_justify="left")
        table.add_column(f"{self._reader} reads")
        table.add_column(f"the topic holds; {self._other} gets no key")
        for name, value in case.fields.items():
            sealed = record["sealed"].get(name)
            shown = record["settings"].get(name) if sealed is None else f"{sealed.hex()[:24]}…"
            table.add_row(name, value, shown)
        self._console.print(table)

    async def _report(self, event: ServiceEvent, case_id: str) -> int:
        """Report a service event, as a back office does; return when (ms since 1970)."""
        at = now()
        await asyncio.to_thread(
            send, self._settings, event,
            event_id=self._id, service=SERVICE, case=case_id, at=at, by=self._reader,
        )  # fmt: skip
        self._console.print(f"The back office reports: {event}.")
        return at

    async def _watch(self, ledger: Ledger, case_id: str, since: int) -> Progress:
        """Show each step of the deletion as it is done, until the last."""
        found: Answers | None = None

        async def look() -> Progress | None:
            nonlocal found
            found = _deletion(ledger, case_id)
            return found[0] if found is not None and found[0].certificate else None

        try:
            with Live(console=self._console, auto_refresh=False, transient=True) as live:
                return await self._pipeline.until(
                    look,
                    "the certificate of the deletion",
                    lambda: live.update(_steps(found, since), refresh=True),
                )
        finally:
            self._console.print(_steps(found, since))

    async def _require_forgotten(self, ledger: Ledger, onlooker: Onlooker, case_id: str) -> None:
        """Look once more, everywhere, for what must be gone."""
        with ledger.reading() as connection:
            if deletion.traces(connection, [case_id]):
                raise DemoError("the ledger still has the case or its keys")
        if case_id in self._crm.contacts():
            raise DemoError(f"{HOLDER} said that it had erased the case, and holds it")
        for department in (self._reader, self._other):
            if await asyncio.to_thread(self._key_given, department, case_id):
                raise DemoError(f"{department} is given the key of a case that is over")
        if case_id in await asyncio.to_thread(present, self._settings, self._reader, None):
            raise DemoError(f"{self._reader} can still read the case")
        if await asyncio.to_thread(self._lies_on_topic, onlooker, case_id) is not None:
            raise DemoError(f"the topic of {self._reader} has no tombstone for the case")
        self._console.print(
            f"Now {self._reader} reads nothing of it and is given no key, its topic has a "
            f"tombstone, and {HOLDER} holds nothing. On no topic was anything personal ever "
            "readable."
        )

    def _key_given(self, department: str, case_id: str) -> bool:
        """Tell whether the key server gives a department the case's key, by its own token."""
        token = (self._settings.secrets / tokens.FOLDER / department).read_text().strip()
        url = f"http://127.0.0.1:{self._settings.keys.port}"
        return case_id in CaseKeys(url, token).of([case_id])

    def _lies_on_topic(self, onlooker: Onlooker, case_id: str) -> bytes | None:
        """Return what the department's topic holds of a case; None: a tombstone, or nothing.

        Raise DemoError for something personal, whatever topic it is on.
        """
        topic = self._settings.topic(f"cases-{self._reader}")
        last: bytes | None = None
        for message in onlooker.seen():
            if _holds(message, self._personal.values()):
                raise DemoError(f"something personal can be read on {message.topic()}")
            if message.topic() == topic and message.key() == case_id.encode():
                last = message.value()
        return last

    def _show_certificate(self, progress: Progress) -> None:
        signed = progress.certificate or {}
        public = Signer.under(self._settings.secrets).public
        if not verify(public, canonical(signed["certificate"]), signed["signature"]):
            raise DemoError("the certificate is not signed with this installation's key")
        self._console.print()
        self._console.print(
            readable(signed["certificate"]), markup=False, highlight=False, soft_wrap=True, end=""
        )
        self._console.print(f"  Signed with {signed['algorithm']}; the signature holds.")

    @asynccontextmanager
    async def _holder_outside(self) -> AsyncIterator[None]:
        """Run the CRM's worker, in a thread of its own."""
        kafka, stop = self._settings.kafka, threading.Event()

        def work() -> None:
            options: dict[str, Any] = dict(kafka_login.python_options(self._settings))
            with RetentionWorker(kafka.bootstrap, HOLDER, prefix=kafka.prefix, **options) as worker:
                worker.run(self._crm.erase, stop)

        working = asyncio.create_task(asyncio.to_thread(work))
        try:
            yield
        finally:
            stop.set()
            await working


def _holds(message: Message, personal: Collection[str]) -> bool:
    content = (message.key() or b"") + b"\0" + (message.value() or b"")
    return any(each.encode() in content for each in personal)


def _deletion(ledger: Ledger, case_id: str) -> Answers | None:
    """Return how far the deletion of a case is, with what the holders said; None: not begun."""
    with ledger.reading() as connection:
        progress = deletion.show(connection, case_id)
        if progress is None:
            return None
        deletion_id = progress.deletion.deletion_id
        return progress, deletion.receipts_of(connection, [deletion_id])[deletion_id]


def _steps(found: Answers | None, since: int) -> Table:
    table = Table("step", "what is done", title="Deletion", title_justify="left")
    table.add_column("after", justify="right")
    if found is not None:
        progress, said = found
        steps = [
            ("over", "its service is done", progress.deletion.requested_at),
            *((step, text, getattr(progress, f"{step}_at")) for step, text in STEPS.items()),
            *((each.outcome, f"the answer of {each.holder}", each.at) for each in said),
            ("certified", "looked at once more, and signed for", progress.completed_at),
        ]
        for step, text, at in steps:
            if at is not None:
                table.add_row(step, text, f"{at - since:,} ms")
    return table
