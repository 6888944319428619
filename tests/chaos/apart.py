"""A world apart: namespaces in which mounts and lost packets disturb nobody else on this machine.

They end with the process, and with them what was mounted, however it ends.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final


class RefusedError(RuntimeError):
    """Raised when the system does not do what it was told."""


MOUNTS, LOSS = "mounts", "loss"  # what it may offer

_ENTERED: Final = "LETHE_CHAOS_APART"
_PLACES: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_CHAIN: Final = ("inet", "chaos", "in")


def enter() -> frozenset[str]:
    """Begin this program anew in namespaces of its own; return there what they offer.

    Nothing is offered where a user may not do so. There is a loopback interface alone: fetch before
    what has to be fetched.
    """
    if _ENTERED not in os.environ:
        for words in _ways():
            if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
                again = [*words, sys.executable, *sys.orig_argv[1:]]
                os.execve(words[0], again, {**os.environ, _ENTERED: "1"})
        return frozenset()
    offered = {MOUNTS} if _mounts() else set()
    try:
        _run("ip", "link", "set", "lo", "up")
        _run("nft", "add", "table", *_CHAIN[:2])
        _run("nft", "add", "chain", *_CHAIN, "{ type filter hook input priority 0; }")
        _run("nft", "add", "rule", *_CHAIN, "numgen random mod 100 < 0 drop")
        _run("nft", "flush", "chain", *_CHAIN)
    except (FileNotFoundError, RefusedError):
        return frozenset(offered)
    return frozenset(offered | {LOSS})


@contextmanager
def losing(percent: int) -> Iterator[Callable[[], int]]:
    """Lose so many of a hundred TCP packets; gives what tells how many are lost up to now."""
    rule = f"meta l4proto tcp numgen random mod 100 < {percent} counter drop"
    _run("nft", "add", "rule", *_CHAIN, *rule.split())

    def lost() -> int:
        words = _run("nft", "list", "chain", *_CHAIN).split()
        return int(words[words.index("packets") + 1])

    try:
        yield lost
    finally:
        _run("nft", "flush", "chain", *_CHAIN)


def mount(folder: Path, size: int) -> None:
    """Mount a disk of ``size`` bytes, in memory, at an empty folder. Raises RefusedError."""
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))


def _mounts() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            mount(Path(folder), 1 << 20)
            unmount(Path(folder))
        except (FileNotFoundError, RefusedError):
            return False
    return True


def unmount(folder: Path) -> None:
    """Take the disk away, with all that is on it, as soon as nobody uses it."""
    _run("umount", "--lazy", str(folder))


def _ways() -> Iterator[list[str]]:
    if (unshare := shutil.which("unshare", path=_PLACES)) is not None:
        spaces = [unshare, "--net", "--mount"]
        yield spaces
        yield [*spaces, "--map-root-user"]  # who is nobody here may be somebody there


def _run(program: str, *words: str) -> str:
    found = shutil.which(program, path=_PLACES)
    if found is None:
        raise FileNotFoundError(program)
    done = subprocess.run([found, *words], capture_output=True, check=False, text=True)
    if done.returncode:
        raise RefusedError(f"{program}: {done.stderr.strip()}")
    return done.stdout
