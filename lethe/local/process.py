"""Child processes: started, watched, restarted when they die, gone when we are."""

import ctypes
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lethe.local import EngineError

START_SECONDS = 120.0
STOP_SECONDS = 20.0
BACKOFF = (0.2, 2.0)  # seconds before a restart: at first, at most
_PR_SET_PDEATHSIG = 1
LISTENING = range(20_000, 32_768)  # below what Linux gives to outgoing connections
_given: set[int] = set()


@dataclass(slots=True)
class Process:
    """A command that should run until ``stop``. Its output goes to ``log``, newly begun.

    ``ports`` are those it listens on when it is ready; ``environment`` replaces ours.
    """

    name: str
    command: Sequence[str]
    log: Path
    ports: Sequence[int] = ()
    environment: Mapping[str, str] | None = None
    restarts: int = 0
    _child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens. Raises EngineError when it does not."""
        start_together([self])

    def spawn(self) -> None:
        """Start it without waiting."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab" if self.restarts else "wb") as log:
            self._child = subprocess.Popen(  # noqa: S603 - commands are ours
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,  # Ctrl-C in the terminal is for us alone
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - no thread of ours holds a lock
            )

    @property
    def pid(self) -> int:
        """Return the child's process id; 0 before the start."""
        return self._child.pid if self._child else 0

    def alive(self) -> bool:
        """Tell whether the child runs."""
        return self._child is not None and self._child.poll() is None

    def stop(self) -> None:
        """Ask it to end, and end it when it does not."""
        stop_together([self])

    def send(self, sign: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self._child is not None and self.alive():
            self._child.send_signal(sign)


class Supervisor:
    """Restarts processes that die, in a thread, until it is stopped."""

    def __init__(self, on_restart: Callable[[Process], None] = lambda _: None) -> None:
        self._on_restart = on_restart
        self._groups: list[Sequence[Process]] = []
        self._due: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def run(self, *processes: Process) -> None:
        """Start processes that need each other, and watch them from now on. Raises EngineError."""
        start_together(processes)
        with self._lock:
            self._groups.append(processes)

    def find(self, name: str) -> Process:
        """Return the process of that name; KeyError when there is none."""
        return {process.name: process for process in self._all()}[name]

    def stop(self) -> None:
        """Stop everything, the last started first."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        try:
            while not self._stop.wait(0.1):
                self._restart_dead()
        finally:
            # In this thread: to what it restarted, its end is the end of the parent (prctl(2)),
            # which would kill them before they can close.
            for group in reversed(self._groups):
                stop_together(group)

    def _all(self) -> list[Process]:
        with self._lock:
            return [process for group in self._groups for process in group]

    def _restart_dead(self) -> None:
        for process in [each for each in self._all() if not each.alive()]:
            now = time.monotonic()
            due = self._due.setdefault(process.name, now + self._pause(process))
            if now >= due:
                del self._due[process.name]
                process.restarts += 1
                process.spawn()
                self._on_restart(process)

    @staticmethod
    def _pause(process: Process) -> float:
        first, longest = BACKOFF
        return min(first * 2.0 ** min(process.restarts, 10), longest)


def start_together(processes: Sequence[Process]) -> None:
    """Start processes that need each other, and wait until all of them listen.

    Raises EngineError when one does not, and then none runs.
    """
    for each in processes:
        each.spawn()
    deadline = time.monotonic() + START_SECONDS
    while waiting := [each for each in processes if not all(map(listening, each.ports))]:
        dead = [each for each in processes if not each.alive()]
        if dead or time.monotonic() > deadline:
            stop_together(processes)
            late = (dead or waiting)[0]
            raise EngineError(f"{late.name} did not start; see {late.log}")
        time.sleep(0.05)


def stop_together(processes: Sequence[Process]) -> None:
    """Ask processes to end, all at once, and end those that do not.

    One after the other, the last of a cluster would wait in vain for the others.
    """
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for each in processes:
            each.send(sign)
        deadline = time.monotonic() + STOP_SECONDS
        while any(each.alive() for each in processes) and time.monotonic() < deadline:
            time.sleep(0.01)


def listening(port: int) -> bool:
    """Tell whether something on this machine accepts connections on ``port``."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def choose_port(preferred: int) -> int:
    """Return ``preferred`` if it is free, otherwise a free port."""
    if preferred and _free(preferred):
        return preferred
    return choose_ports(1)[0]


def choose_ports(count: int) -> list[int]:
    """Return free ports, no two of which are the same.

    None that the system gives to outgoing connections, and none twice: somebody else might have it
    before whoever is to listen there does, which for a broker takes seconds.
    """
    left = [each for each in LISTENING if each not in _given]
    found = list(islice(filter(_free, random.SystemRandom().sample(left, len(left))), count))
    _given.update(found)
    if len(found) < count:
        raise EngineError("no port is free on this machine")
    return found


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _die_with(parent: int) -> Callable[[], None] | None:
    """Return what makes a child die with its parent, even when that is killed (Linux only)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def bind() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # engines hold what passes through them
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return bind
