"""The drill: every key that can be changed is changed while forms come in, and nothing is lost.

And where a company's secrets are meanwhile: in no command line, environment or log of a process.
"""

import base64
import json
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from lethe.local.process import Process
from privacy.links import confirm_token
from sinks.keys.intake import LINKS, UNSUBSCRIBE, links_keys
from streams.settings import Site

pytestmark = pytest.mark.broker

SITE, OLD, NEW = "shop.example", "demo-shop-key", "the-next-shop-key"
REFUSED = {401, 403, 404}
LATER = "ask again later"
ROTATIONS = 10


def asked(url: str, body: bytes | None = None, **headers: str) -> int:
    """Return the status of an answer; 0: there was none."""
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


class Restless:
    """Does the same over and over, in a thread of its own, for as long as the block lasts."""

    def __init__(self, name: str) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        """Work until it is over."""
        raise NotImplementedError


class Visitors(Restless):
    """Fill in a form again and again; whoever gets no answer sends the same once more."""

    def __init__(self, company: Any) -> None:
        self._company = company
        self.key = OLD
        self.sent: dict[str, str] = {}
        """The address that each case was taken with."""
        self.refused: set[int] = set()
        super().__init__("visitors")

    def _work(self) -> None:
        url = f"http://127.0.0.1:{self._company.settings.collector.port}/v1/forms/newsletter"
        while not self._over.is_set():
            fields = self._company.fill_in("newsletter")
            body = {"fields": fields, "idempotency_key": secrets.token_hex(16)}
            while not (case_id := self._taken(url, json.dumps(body).encode())):
                if self._over.wait(0.05):
                    return
            self.sent[case_id] = fields["email"]
            time.sleep(0.02)  # not for luck: one after the other, as long as it takes

    def _taken(self, url: str, body: bytes) -> str | None:
        headers = {"X-Lethe-Key": self.key, "Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, body, headers), timeout=10
            ) as answer:
                return str(json.loads(answer.read())["case_id"])
        except urllib.error.HTTPError as error:
            self.refused.add(error.code)
        except OSError:
            pass  # it is being restarted
        return None


class Department(Restless):
    """Asks for a case's key all the time; ``given`` is what it was given, each answer once.

    That keys cannot be had now is no answer: the ledger may be busy for a while.
    """

    def __init__(self, company: Any, case_id: str) -> None:
        self.given: set[str | None] = set()
        self.times = 0
        self._ask = partial(company.asks, "marketing", [case_id])
        self._case_id = case_id
        super().__init__("marketing")

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                self.given.add(self._ask()[self._case_id])
            except AssertionError as refused:
                if LATER in str(refused):
                    continue
                self.given.add(str(refused))
            self.times += 1


@pytest.fixture
def staff(idle_company: Any) -> Iterator[dict[str, Process]]:
    """Start key server, a worker and a collector that can be started anew."""
    idle_company.serve_keys()
    idle_company.work("worker", "cases")
    running: dict[str, Process] = {
        "worker": idle_company.workers.find("worker"),
        "keys": idle_company.supervisor.find("keys"),
    }
    collect(idle_company, running, OLD, NEW)
    yield running
    running["collector"].stop()


def collect(company: Any, running: dict[str, Process], *keys: str) -> None:
    """Start the collector, anew if need be, with these keys of the site."""
    if "collector" in running:
        running["collector"].stop()
    sites = {SITE: Site(keys=keys, origins=(f"https://{SITE}",))}
    company.environment = company.settings.model_copy(update={"sites": sites}).environment()
    company.environment |= {"COLUMNS": "200"}
    port = company.settings.collector.port
    running["collector"] = company.process("collector", "collect", ports=[port])
    running["collector"].start()


def test_every_key_is_changed_under_traffic_and_nothing_is_lost(
    idle_company: Any, staff: dict[str, Process], eventually: Any
) -> None:
    company, keep = idle_company, idle_company.settings.secrets
    with Visitors(company) as visitors:

        def more() -> str:
            """Wait for a case that is taken from now on."""
            before = len(visitors.sent)
            eventually(lambda: len(visitors.sent) > before + 2, "forms to be taken")
            return list(visitors.sent)[-1]

        first = more()
        company.sees_in("marketing", first, "open")
        kek = (keep / "keks" / "marketing").read_bytes()
        with Department(company, first) as department:
            for _ in range(ROTATIONS):
                company.lethe("keys", "rotate", "marketing")
            more()
        assert len(department.given) == 1
        # Nor was it refused because no key of the department fits, which the log would say.
        assert "KeyStoreError" not in (company.folder / "logs" / "keys.log").read_text()
        assert department.times > ROTATIONS
        assert kek not in (keep / "keks" / "marketing").read_bytes()
        _change_unsubscribing(company, first, more, eventually)
        _change_confirming(company)
        visitors.key = NEW
        more()
        assert not {_form(company, each) for each in (OLD, NEW)} & REFUSED
        collect(company, staff, NEW)
        more()
        assert [each for each in (OLD, NEW) if _form(company, each) in REFUSED] == [OLD]
        _search(company, staff)
    assert not visitors.refused & REFUSED
    read = eventually(
        lambda: (seen := company.sees("marketing")).keys() >= visitors.sent.keys() and seen,
        "marketing to see each case",
    )
    assert {case_id: read[case_id].fields["email"] for case_id in visitors.sent} == visitors.sent
    assert len(visitors.sent) > 20


def _form(company: Any, key: str) -> int:
    url = f"http://127.0.0.1:{company.settings.collector.port}/v1/forms/newsletter"
    body = json.dumps({"fields": company.fill_in("newsletter")}).encode()
    return asked(url, body, **{"X-Lethe-Key": key, "Content-Type": "application/json"})


def _change_unsubscribing(company: Any, old: str, more: Any, eventually: Any) -> None:
    """Links of both keys hold until the old one is taken away."""

    def link(case_id: str) -> str:
        told = eventually(
            lambda: [
                each.record["token"]
                for each in company.messages("mailing-changes", "mailing_change")
                if each.key == case_id
            ],
            "the mail system to be told of a subscription",
        )
        port = company.settings.collector.port
        return f"http://127.0.0.1:{port}/v1/unsubscribe/{told[0]}"

    before = link(old)
    company.lethe("lists", "rotate")
    after = link(more())
    assert asked(before) == asked(after) == 200
    (company.settings.secrets / UNSUBSCRIBE / "1").unlink()
    assert (asked(before), asked(after)) == (404, 200)


def _change_confirming(company: Any) -> None:
    keep, expires = company.settings.secrets, int(time.time()) + 600

    def link() -> str:
        token = confirm_token(links_keys(keep), "r-1", expires)
        port = company.settings.collector.port
        return f"http://127.0.0.1:{port}/v1/requests/confirm/{token}"

    before = link()
    company.lethe("keys", "rotate-links")
    after = link()
    assert asked(before) == asked(after) == 200
    (keep / LINKS / "1").unlink()
    assert (asked(before), asked(after)) == (404, 200)


def _search(company: Any, staff: dict[str, Process]) -> None:
    """Find no secret where others than its owner may look, and no core dump to come."""
    needles = set()
    for file in filter(Path.is_file, company.settings.secrets.rglob("*")):
        content = file.read_bytes().strip()
        needles |= {content, content.hex().encode(), base64.b64encode(content)}
    needles = {each for each in needles if len(each) >= 16}
    assert len(needles) > 20
    places = [each for name in staff for each in Path("/proc", str(staff[name].pid)).glob("*")]
    shown = [each for each in places if each.name in {"cmdline", "environ"}]
    assert len(shown) == 2 * len(staff)
    logs = list((company.folder / "logs").iterdir())
    for file in (*shown, *logs):
        try:
            content = file.read_bytes()
        except PermissionError:  # closed to all but root
            continue
        assert not [each for each in needles if each in content], file
    for process in staff.values():
        limits = Path("/proc", str(process.pid), "limits").read_text()
        (line,) = (each for each in limits.splitlines() if each.startswith("Max core file size"))
        assert line.split()[4:6] == ["0", "0"]
