"""Namespaces of a program's own: small disks, lost packets, and nothing of it outside."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# A disk of 1 MiB is filled; half a megabyte goes through a connection that loses packets.
PROGRAM = """
import json, socket, sys, threading
from pathlib import Path
from tests.chaos import apart

offered = apart.enter()
found = {"offered": sorted(offered)}
if apart.MOUNTS in offered:
    folder = Path(sys.argv[1])
    apart.mount(folder, 1 << 20)
    try:
        (folder / "file").write_bytes(bytes(2 << 20))
    except OSError as error:
        found["full"] = error.errno
if apart.LOSS in offered:
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    server, _ = listener.accept()
    def send():
        client.sendall(bytes(500_000))
        client.close()
    with apart.losing(20) as lost:
        threading.Thread(target=send).start()
        size = 0
        while data := server.recv(65_536):
            size += len(data)
        found |= {"came": size, "lost": lost()}
print(json.dumps(found))
"""


def test_a_disk_is_full_and_packets_are_lost_in_there_alone(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    found = json.loads(done.stdout)
    if "mounts" not in found["offered"]:
        pytest.skip("no namespaces for this user")
    assert found["full"] == 28  # ENOSPC
    assert not (folder / "file").exists()
    if "loss" in found["offered"]:
        assert found["came"] == 500_000
        assert found["lost"] > 0
