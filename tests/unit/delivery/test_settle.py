"""When a withdrawal is effective, with dispatchers that live, are late, or are gone (S14)."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from privacy.consent import Decision
from sinks.ledger import consents, dispatchers
from sinks.ledger.consents import ConsentChange
from sinks.ledger.dispatchers import Lease, Process
from sinks.ledger.ledger import Ledger
from streams.delivery.settle import _stat, alive, kill, promised_ms, settle

PARTITION = 3
LATE_MS = 7_000


class Company:
    """A ledger with withdrawals, dispatchers that hold leases, and the watchdog of this host."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.now = 1_795_000_000_000
        self.killed: list[Process] = []
        self.late: list[int] = []
        self._offsets = itertools.count()
        self._sleepers: list[subprocess.Popen[bytes]] = []

    def withdraw(self) -> int:
        """Give and withdraw a consent; return the offset of the withdrawal."""
        for decision in (Decision.GIVEN, Decision.WITHDRAWN):
            offset = next(self._offsets)
            change = ConsentChange(
                "shop.example", "anne", offset, PARTITION, f"c{offset}", "ads", decision,
                None, None, None, "banner", 1, self.now,
            )  # fmt: skip
            with self.ledger.transaction() as connection:
                consents.record(connection, [change], ads={"ads"})
        return offset

    def process(self, *, host: str | None = None) -> Process:
        """Start a process that does nothing."""
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self._sleepers.append(sleeper)
        here = dispatchers.here()
        started = _stat(sleeper.pid)[1]
        name = f"d{sleeper.pid}"
        return Process(name, host or here.host, here.boot_id, sleeper.pid, started)

    def hold(self, process: Process, passed: int, seconds: float = 2.0) -> None:
        """Have a dispatcher say that it has applied the changes before ``passed``."""
        until = dispatchers.here().boottime + int(seconds * 1000)
        lease = Lease(f"of-{process.id}", PARTITION, process, passed, until, self.now)
        with self.ledger.passing() as connection:
            assert dispatchers.renew(connection, lease)

    def settle(self) -> list[int]:
        """Let the watchdog look once; return the offsets of what became effective."""
        here = dispatchers.here()
        found = settle(
            self.ledger, here, lambda: self.now, self.kill, LATE_MS, tell=self.late.append
        )
        return [each.offset for each in found]

    def kill(self, process: Process) -> None:
        self.killed.append(process)
        kill(process)

    def close(self) -> None:
        for each in self._sleepers:
            each.kill()
            each.wait()


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    with closing(ledger), closing(Company(ledger)) as made:
        yield made


def test_where_nobody_sends_a_withdrawal_is_effective_at_once(company: Company) -> None:
    offset = company.withdraw()
    assert company.settle() == [offset]
    assert company.settle() == [], "once"


def test_a_withdrawal_is_effective_when_each_dispatcher_has_passed_it(company: Company) -> None:
    one, two = company.process(), company.process()
    offset = company.withdraw()
    company.hold(one, offset + 1)
    company.hold(two, offset)
    assert company.settle() == []
    company.hold(two, offset + 1)
    assert company.settle() == [offset]
    assert not company.killed


def test_of_several_those_that_were_passed_are_effective(company: Company) -> None:
    first, second = company.withdraw(), company.withdraw()
    company.hold(company.process(), first + 1)
    assert company.settle() == [first]
    company.hold(company.process(), second + 1)
    assert company.settle() == []


def test_a_late_dispatcher_is_killed_before_a_withdrawal_is_effective(company: Company) -> None:
    """Its lease is over; it may have been stopped just before the first byte."""
    late = company.process()
    offset = company.withdraw()
    company.hold(late, offset, seconds=-0.1)
    assert alive(late, dispatchers.here())
    assert company.settle() == [offset]
    assert company.killed == [late]
    assert not alive(late, dispatchers.here())


def test_a_dispatcher_within_its_lease_is_waited_for(company: Company) -> None:
    slow = company.process()
    company.hold(slow, company.withdraw(), seconds=60)
    assert company.settle() == []
    assert not company.killed


def test_whoever_is_gone_is_not_waited_for(company: Company) -> None:
    gone = company.process()
    offset = company.withdraw()
    company.hold(gone, offset, seconds=60)
    kill(gone)
    assert company.settle() == [offset]
    assert not company.killed


@pytest.mark.parametrize("change", [{"started": 1}, {"boot_id": "another"}])
def test_another_process_with_its_number_is_let_live(
    company: Company, change: dict[str, object]
) -> None:
    other = company.process()
    namesake = other._replace(**change)
    offset = company.withdraw()
    company.hold(namesake, offset, seconds=-0.1)
    assert company.settle() == [offset]
    assert not company.killed
    assert alive(other, dispatchers.here())


def test_nobody_knows_of_another_host_s_dispatcher_and_that_is_told(company: Company) -> None:
    far = company.process(host="elsewhere")
    company.hold(far, company.withdraw(), seconds=-60)
    assert company.settle() == []
    assert not company.late
    company.now += LATE_MS + 1
    assert company.settle() == []
    assert company.late == [PARTITION]
    assert not company.killed


def test_a_process_is_gone_when_kill_returns(company: Company) -> None:
    victim = company.process()
    kill(victim)
    assert not alive(victim, dispatchers.here())
    kill(victim)  # and it may be gone before


def test_a_stopped_dispatcher_holds_a_withdrawal_up_no_longer_than_promised(
    company: Company,
) -> None:
    """The whole of it in real time: a lease of two seconds, taken and then stopped in."""
    lease = 2.0
    stopped = company.process()
    os.kill(stopped.pid, signal.SIGSTOP)
    began = time.monotonic()
    company.hold(stopped, 0, seconds=lease)
    offset = company.withdraw()
    while not (effective := company.settle()):
        assert time.monotonic() - began < promised_ms(lease) / 1000
        time.sleep(0.05)
    took = time.monotonic() - began
    assert effective == [offset]
    assert company.killed == [stopped]
    assert lease - 0.2 < took < promised_ms(lease) / 1000 == LATE_MS / 1000
