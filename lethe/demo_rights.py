"""What a person may ask, live: to see all that is held of them, and to be forgotten (S18, S20)."""

import asyncio
import io
import json
import threading
import uuid
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
from kafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from lethe.cli.readers import reading
from lethe.demo_pipeline import DemoError, Pipeline
from lethe.holding import ReceiptFailedError
from lethe.letters import Letter, LetterReader
from lethe.retention import RetentionWorker
from lethe.rights import RightsWorker
from lethe.standins.account import POLICY, SITE
from lethe.standins.crm import Crm
from privacy.rights.request import Ground, Right
from sinks.ledger import cases, requests
from sinks.ledger.ledger import Ledger
from streams import kafka_login, policy
from streams.keys import tokens
from streams.settings import Settings
from streams.shared import open_ledger

HOLDER = "crm"
FILE = "answer.zip"


class RightsDemo:
    """One run on a pipeline whose policy is the stand-ins'; ``seed`` names the person."""

    def __init__(self, console: Console, settings: Settings, *, seed: int) -> None:
        self._console = console
        self._settings = settings
        self._pipeline = Pipeline(settings)
        rights = policy.load(POLICY).rights
        if rights is None:
            raise DemoError("the policy of the stand-ins has no [rights]")
        self._department = rights.department
        self._email = f"kim-{seed:08x}@example.com"
        self._forms: Mapping[str, Mapping[str, str]] = {
            "sample-request": {
                "name": f"Kim Example {seed:08x}",
                "email": self._email,
                "address": f"{seed} Example Square, 1234 Exampleton",
                "sample": "large",
            },
            "newsletter": {"email": self._email},
        }
        self._seed = seed
        self._crm = Crm(settings.data_dir / "crm.db")

    async def run(self) -> str:
        """Ask for access and for erasure, show what comes, and look that nothing is left.

        Returns the id of the last request. Raises DemoError, LedgerError and SettingsError.
        """
        self._console.print(
            f"\n[bold]What a person may ask[/]: Kim, who takes the newsletter of {SITE} and asked "
            "for a sample, wants to see all that is held, and then to be forgotten."
        )
        try:
            with closing(open_ledger(self._settings)) as ledger:
                async with self._holder_outside():
                    await self._fill_in(ledger)
                    _, letter = await self._ask(Right.ACCESS)
                    self._show_copy(await self._fetch(letter))
                    asked, letter = await self._ask(Right.ERASURE, Ground.NO_LONGER_NEEDED)
                self._show_steps(ledger, asked)
                self._require_forgotten(ledger)
        except (KafkaError, ReceiptFailedError, aiohttp.ClientError) as error:
            raise DemoError(f"{type(error).__name__}: {error}") from None
        return asked

    async def _fill_in(self, ledger: Ledger) -> None:
        for number, (service, fields) in enumerate(self._forms.items(), start=1):
            key = str(uuid.UUID(int=self._seed + number, version=4))
            form = {"fields": fields, "idempotency_key": key}
            answer = await self._pipeline.post(f"/v1/forms/{service}", form)
            case_id = str(answer["case_id"])
            if service == "sample-request":
                self._crm.keep(case_id, fields)

            async def begun(case_id: str = case_id) -> bool:
                with ledger.reading() as connection:
                    return not cases.coming(connection, [case_id])

            await self._pipeline.until(begun, f"the case of {service}")

    async def _ask(self, right: Right, ground: Ground | None = None) -> tuple[str, Letter]:
        """Ask, follow the link in the mail, and return the request's id and the answer's letter."""
        content = {"right": right.value, "email": self._email, "language": "en"}
        if ground is not None:
            content["ground"] = ground.value
        answer = await self._pipeline.post("/v1/requests", content)
        request_id = str(answer["request_id"])
        confirm = await self._letter(request_id, "confirm")
        self._console.print(f"{right}: a mail, [italic]{confirm.subject}[/]; Kim follows its link.")
        await self._press(confirm)
        return request_id, await self._letter(request_id, "answer")

    async def _letter(self, request_id: str, kind: str) -> Letter:
        def look() -> Letter | None:
            with reading(LetterReader, self._settings, self._department, None) as reader:
                letters = [each for each in reader.until_now() if each.request_id == request_id]
            return next((each for each in letters if each.kind == kind), None)

        async def found() -> Letter | None:
            return await asyncio.to_thread(look)

        return await self._pipeline.until(found, f"the letter that {kind}s the request")

    async def _press(self, letter: Letter) -> bytes:
        """Press the button behind a letter's link, and return what comes. Raise DemoError."""
        url = f"http://127.0.0.1:{self._settings.collector.port}{letter.link}"
        async with aiohttp.ClientSession() as session, session.post(url) as response:
            if response.status != 200:
                raise DemoError(f"the link of the letter answered {response.status}")
            return await response.read()

    async def _fetch(self, letter: Letter) -> bytes:
        """Fetch an answer, which can be done once."""
        content = await self._press(letter)
        try:
            await self._press(letter)
        except DemoError:
            return content
        raise DemoError("an answer could be fetched twice")

    def _show_copy(self, content: bytes) -> None:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            data = json.loads(archive.read("data.json"))["data"]
        told = json.dumps(data)
        for value in {value for fields in self._forms.values() for value in fields.values()}:
            if value not in told:
                raise DemoError("the copy lacks something that was filled in")
        table = Table("held in", title="All that is held of Kim", title_justify="left")
        table.add_column("records", justify="right")
        table.add_column("for example")
        for store, rows in data.items():
            if rows:
                table.add_row(store.replace("_", " "), str(len(rows)), _example(rows[0]))
        self._console.print(table)
        file = self._settings.data_dir / FILE
        file.write_bytes(content)
        self._console.print(f"With all that Art. 15 asks for, in {_near(file)}: answer.html")

    def _show_steps(self, ledger: Ledger, request_id: str) -> None:
        with ledger.reading() as connection:
            request = requests.get(connection, request_id)
            steps = requests.steps(connection, request_id)
        if request is None or request.confirmed_at is None:
            raise DemoError("the request is not in the ledger")
        table = Table("step", "outcome", title="Erasure", title_justify="left")
        table.add_column("after", justify="right")
        for each in steps:
            if each.done_at is not None:
                after = f"{each.done_at - request.confirmed_at:,} ms"
                table.add_row(each.act.replace("_", " "), each.outcome, after)
        self._console.print(table)

    def _require_forgotten(self, ledger: Ledger) -> None:
        with ledger.reading() as connection:
            left = cases.services(connection) & self._forms.keys()
        if left or any(self._email in each.values() for each in self._crm.contacts().values()):
            raise DemoError("something of who was to be forgotten is left")
        self._console.print(
            f"Ledger and {HOLDER} hold nothing of Kim; nobody mails that address any more, and "
            "whatever comes late from before is refused."
        )

    @asynccontextmanager
    async def _holder_outside(self) -> AsyncIterator[None]:
        """Run the CRM's two workers, each in a thread of its own."""
        settings, stop = self._settings, threading.Event()
        kafka = settings.kafka
        options: dict[str, Any] = {"prefix": kafka.prefix, **kafka_login.python_options(settings)}

        def erase() -> None:
            with RetentionWorker(kafka.bootstrap, HOLDER, **options) as worker:
                worker.run(self._crm.erase, stop)

        def answer() -> None:
            token = (settings.secrets / tokens.FOLDER / f"holder.{HOLDER}").read_text().strip()
            url = f"http://127.0.0.1:{settings.keys.port}"
            with RightsWorker(
                kafka.bootstrap, HOLDER, keys_url=url, token=token, **options
            ) as worker:
                worker.run(self._crm.handlers, stop)

        loops: list[Callable[[], None]] = [erase, answer]
        working = [asyncio.create_task(asyncio.to_thread(each)) for each in loops]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*working)


def _example(row: Mapping[str, Any]) -> str:
    """Return what a row tells people: no ids."""
    told = {name: value for name, value in row.items() if not name.endswith("_id")}
    return ", ".join([f"{name}: {value}" for name, value in told.items() if value is not None][:3])


def _near(file: Path) -> Path:
    here = Path.cwd()
    return file.resolve().relative_to(here) if file.resolve().is_relative_to(here) else file
