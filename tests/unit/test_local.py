"""Processes of ``lethe up``: they start, come back, end when asked and die with their parent."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lethe.local import EngineError, brokers, packages, process
from lethe.local.clickhouse import passwords
from lethe.local.engines import hold
from lethe.local.process import Process, Supervisor, choose_port, choose_ports
from streams.settings import ENGINES
from tests.waiting import until

SLEEP = "import time; time.sleep(600)"
# Says that it is ready, and on SIGTERM that it has closed.
ORDERLY = """
import pathlib, signal, sys, time
def close(*_):
    pathlib.Path(sys.argv[1], "closed").touch()
    sys.exit()
signal.signal(signal.SIGTERM, close)
pathlib.Path(sys.argv[1], f"ready-{__import__('os').getpid()}").touch()
time.sleep(600)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True);"
# A parent that starts one process, says its id and waits.
PARENT = """
import sys, time
from pathlib import Path
from lethe.local.process import Process
child = Process("child", [sys.executable, "-c", sys.argv[2]], Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def python(code: str, folder: Path, *arguments: str) -> Process:
    return Process("child", [sys.executable, "-c", code, *arguments], folder / "logs/child.log")


def gone(pid: int) -> bool:
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def test_a_process_that_ends_at_once_is_an_error_that_names_the_log(tmp_path: Path) -> None:
    child = python("print('what was wrong'); raise SystemExit(3)", tmp_path)
    child.ports = [choose_port(0)]
    with pytest.raises(EngineError, match=r"child did not start; see .*child\.log"):
        child.start()
    assert "what was wrong" in child.log.read_text()


def test_a_process_that_dies_is_restarted_and_its_log_goes_on(tmp_path: Path) -> None:
    restarted: list[str] = []
    supervisor = Supervisor(lambda each: restarted.append(each.name))
    supervisor.start()
    try:
        supervisor.run(python(f"print('began', flush=True); {SLEEP}", tmp_path))
        child = supervisor.find("child")
        first = child.pid
        until(lambda: "began" in child.log.read_text(), "the start")
        os.kill(first, signal.SIGKILL)
        until(lambda: child.log.read_text().count("began") == 2, "the restart")
        assert child.pid != first
        until(lambda: restarted == ["child"], "it to be told")
        assert child.restarts == 1
    finally:
        supervisor.stop()
    assert gone(child.pid)


def test_what_was_restarted_may_close_in_order_too(tmp_path: Path) -> None:
    """The thread that restarted it is, to the kernel, its parent: it must not end before it."""
    supervisor = Supervisor()
    supervisor.start()
    try:
        supervisor.run(python(ORDERLY, tmp_path, str(tmp_path)))
        child = supervisor.find("child")
        first = child.pid
        os.kill(first, signal.SIGKILL)
        until(lambda: child.pid != first, "the restart")
        until((tmp_path / f"ready-{child.pid}").exists, "it to be ready")
    finally:
        supervisor.stop()
    assert (tmp_path / "closed").exists()


def test_a_process_that_will_not_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.2)
    child = python(STUBBORN + SLEEP, tmp_path)
    child.start()
    until(lambda: "x" in child.log.read_text(), "it to ignore SIGTERM")
    child.stop()
    assert gone(child.pid)


# Listens when its sibling does, and not before.
NEEDY = """
import socket, sys, time
own, other = (int(each) for each in sys.argv[1:])
door = socket.create_server(("127.0.0.1", other))
while socket.socket().connect_ex(("127.0.0.1", own)):
    time.sleep(0.01)
time.sleep(600)
"""


def test_processes_that_need_each_other_are_started_together(tmp_path: Path) -> None:
    """Each opens the door that the other waits for, and neither alone would be ready."""
    one, two = choose_ports(2)
    pair = [
        Process("one", [sys.executable, "-c", NEEDY, str(one), str(two)], tmp_path / "1", [one]),
        Process("two", [sys.executable, "-c", NEEDY, str(two), str(one)], tmp_path / "2", [two]),
    ]
    supervisor = Supervisor()
    supervisor.start()
    try:
        supervisor.run(*pair)
        assert [supervisor.find(each.name) for each in pair] == pair
    finally:
        supervisor.stop()
    assert all(gone(each.pid) for each in pair)


def test_where_one_does_not_start_none_runs(tmp_path: Path) -> None:
    broken = python("raise SystemExit(3)", tmp_path)
    broken.ports = [choose_port(0)]
    sound = Process("sound", [sys.executable, "-c", SLEEP], tmp_path / "log")
    with pytest.raises(EngineError, match=r"^child did not start"):
        process.start_together([sound, broken])
    assert gone(sound.pid)


def test_ports_that_are_chosen_together_differ() -> None:
    assert len(set(choose_ports(50))) == 50


def test_children_are_gone_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log"), SLEEP], stdout=subprocess.PIPE
    )
    assert parent.stdout
    with parent, parent.stdout as said:
        child = int(said.readline())
        assert not gone(child)
        parent.kill()
    until(lambda: gone(child), "the child to die")


def test_a_port_in_use_is_not_chosen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert choose_port(port) != port
    assert choose_port(port) == port


def test_one_data_folder_is_held_by_one_process_and_stale_addresses_go(tmp_path: Path) -> None:
    (tmp_path / ENGINES).write_text("{}")
    lock = hold(tmp_path)
    assert not (tmp_path / ENGINES).exists()
    with pytest.raises(EngineError, match="already; stop it first"):
        hold(tmp_path)
    lock.close()
    hold(tmp_path).close()


def test_passwords_are_made_once_and_are_their_owner_s_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    made = passwords(folder)
    assert len(set(made.values())) == len(made) == 4
    assert passwords(folder) == made
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_what_lacks_is_said_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(EngineError, match=r"npm is missing.*install Node\.js.*lethe doctor"):
        packages.clickhouse_library()
    with pytest.raises(EngineError, match=r"java is missing.*Java 17.*lethe doctor"):
        packages.kafka_jars()


def test_a_download_that_breaks_off_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm = tmp_path / "bin/npm"
    npm.parent.mkdir()
    npm.write_text('#!/bin/sh\necho run >> "$0.runs"\nexit $(cat "$0.code")\n')
    npm.chmod(0o755)
    code, runs = tmp_path / "bin/npm.code", tmp_path / "bin/npm.runs"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(npm.parent), prepend=os.pathsep)
    code.write_text("1")
    with pytest.raises(EngineError, match="npm could not fetch"):
        packages.clickhouse_library()
    code.write_text("0")
    packages.clickhouse_library()
    packages.clickhouse_library()
    assert runs.read_text().count("run") == 2, "once in vain, once for good"


def test_a_cluster_id_that_begins_with_a_dash_is_no_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        said.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(brokers.secrets, "token_bytes", lambda size: b"\xf8" * size)
    monkeypatch.setattr(brokers.subprocess, "run", run)
    brokers.kafka(tmp_path / "libs", tmp_path / "kafka", tmp_path / "log", 9092)
    assert "--cluster-id=-Pj4-Pj4-Pj4-Pj4-Pj4-A" in said[0]


def test_a_node_that_lost_its_disk_comes_back_to_its_own_cluster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []

    def format_one(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        said.append(next(each for each in command if each.startswith("--cluster-id=")))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(brokers.subprocess, "run", format_one)
    brokers.cluster(tmp_path / "libs", tmp_path, tmp_path)
    assert len(said) == 3
    assert len(set(said)) == 1
    for number in (1, 3):
        meta = tmp_path / f"broker-{number}/data/meta.properties"
        meta.parent.mkdir(parents=True)
        meta.write_text("version=1\ncluster.id=kept\n")
    said.clear()
    brokers.cluster(tmp_path / "libs", tmp_path, tmp_path)
    assert said == ["--cluster-id=kept"]


def test_no_password_is_on_a_command_line_or_stays_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert "in-clear" not in " ".join(command)
        users = Path(command[-1].removeprefix("@"))
        assert stat.S_IMODE(users.stat().st_mode) == 0o600
        read.append(users.read_text())
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(brokers.subprocess, "run", run)
    access = brokers.Access({"admin": "in-clear"}, tmp_path / "node", tmp_path / "ca", 1)
    made = brokers.kafka(tmp_path / "libs", tmp_path / "kafka", tmp_path / "log", 9092, access)
    assert "name=admin" in read[0]
    assert "in-clear" not in " ".join(made.command)
    left = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert left
    assert not [each for each in left if "in-clear" in each.read_text()]
