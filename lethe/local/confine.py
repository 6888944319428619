"""Confine a process to some folders with Landlock (Linux 5.13 and later), as its user alone can.

For the embedded ClickHouse: there ``file()`` reads whatever the process may, whoever asks.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

# linux/landlock.h; the numbers of the system calls are the same on each architecture.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION: Final = 1  # ask for the version instead of making a ruleset
_PATH_BENEATH: Final = 1
_NO_NEW_PRIVILEGES: Final = 38
_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE: Final = 1 << 14
_OF_FILES: Final = _EXECUTE | _WRITE | _READ | _TRUNCATE
# What each version can forbid: all of the first, moving between folders, truncating.
_KNOWN: Final = ((1, (1 << 13) - 1), (2, 1 << 13), (3, _TRUNCATE))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def available() -> bool:
    """Tell whether this kernel has it."""
    return _version() > 0


def confine(read: Iterable[Path], write: Iterable[Path]) -> bool:
    """Forbid this thread, and those it will start, every file that is not below these.

    Folders or files; those that are not there are left out. Return False, with nothing forbidden,
    where the kernel cannot. Raise OSError when it will not.
    """
    version = _version()
    if version <= 0:
        return False
    every = sum(bits for since, bits in _KNOWN if version >= since)
    libc = ctypes.CDLL(None, use_errno=True)
    handled = ctypes.c_uint64(every)
    rules = _done(libc.syscall(_CREATE, ctypes.byref(handled), ctypes.sizeof(handled), 0))
    try:
        for paths, rights in ((read, _EXECUTE | _READ | _LIST), (write, every)):
            for path in filter(Path.exists, paths):
                _allow(libc, rules, path, rights & every)
        _done(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _done(libc.syscall(_RESTRICT, rules, 0))
    finally:
        os.close(rules)
    return True


def _version() -> int:
    if sys.platform != "linux":
        return 0
    return int(ctypes.CDLL(None).syscall(_CREATE, None, 0, _VERSION))


def _allow(libc: ctypes.CDLL, rules: int, path: Path, rights: int) -> None:
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        below = _Beneath(rights if path.is_dir() else rights & _OF_FILES, handle)
        _done(libc.syscall(_ADD, rules, _PATH_BENEATH, ctypes.byref(below), 0))
    finally:
        os.close(handle)


def _done(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
