"""Key encryption keys: one a department, in files; they wrap the keys of its cases (AES-KW).

``<secrets>/keks/<department>`` holds 32 bytes; several keys, the newest first, while they are
rotated. Files are read at each use, so that every process knows a new key at once.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

BYTES: Final = 32


class KeyStoreError(RuntimeError):
    """Raised when a department's key is not there or is not the one that wrapped. Tells no key."""


class Keks:
    """The files below ``folder``. Safe to share between threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def under(cls, secrets: Path) -> Self:
        """Return the keys of a folder of secrets."""
        return cls(secrets / "keks")

    def make_missing(self, departments: Iterable[str]) -> list[str]:
        """Make a key for each department that has none, and return which had none."""
        missing = [each for each in departments if not (self._folder / each).exists()]
        for each in missing:
            write_private(self._folder / each, os.urandom(BYTES))
        return missing

    def of(self, department: str) -> Sequence[bytes]:
        """Return a department's keys, the newest first. Raise KeyStoreError when it has none."""
        try:
            content = (self._folder / department).read_bytes()
        except OSError:
            content = b""
        if not content or len(content) % BYTES:
            raise KeyStoreError(f"no key for {department}; see lethe keys init")
        return [content[at : at + BYTES] for at in range(0, len(content), BYTES)]

    @contextmanager
    def rotating(self, department: str) -> Iterator[Sequence[bytes]]:
        """Put a new key before those of a department, and give all; drop the others at the end.

        If it fails on the way, all of them stay. Raise KeyStoreError when somebody else rotates.
        """
        self.of(department)
        with (self._folder / ".rotation").open("w") as lock:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except OSError:
                raise KeyStoreError("keys are being rotated already") from None
            keks = (os.urandom(BYTES), *self.of(department))
            write_private(self._folder / department, b"".join(keks))
            yield keks
            write_private(self._folder / department, keks[0])


def wrap(kek: bytes, key: bytes) -> bytes:
    """Wrap a case's key (RFC 3394): 40 bytes of 32."""
    return aes_key_wrap(kek, key)


def unwrap(keks: Iterable[bytes], wrapped: bytes) -> bytes:
    """Return the key that one of ``keks`` wrapped. Raise KeyStoreError when none of them did."""
    for each in keks:
        try:
            return aes_key_unwrap(each, wrapped)
        except InvalidUnwrap:
            continue
    raise KeyStoreError("a key was wrapped by none of the department's keys")


def write_private(file: Path, content: bytes) -> None:
    """Write a file for its owner alone, whole or not at all, and on the disk when it returns."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
