"""Lines of a file of any size and content, without ever holding a long one."""

import os
import zlib
from collections.abc import Iterator
from typing import NamedTuple, Protocol

# What reading a file may raise: it is gone, is a folder, or is gzip's and cut off or damaged.
UNREADABLE = (OSError, EOFError, zlib.error)


class Stream(Protocol):
    """What lines are read from."""

    def readline(self, size: int, /) -> bytes:
        """Return what is left of a line, ``size`` bytes at most."""
        ...

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go elsewhere; needed for what grows."""
        ...


class Line(NamedTuple):
    """One line: its ``size`` in bytes, end included, and its content without the end.

    ``content`` is None when the line is too long.
    """

    size: int
    content: bytes | None


def read_lines(stream: Stream, longest: int, *, growing: bool = False) -> Iterator[Line]:
    """Yield each line; one of more than ``longest`` bytes, end included, without its content.

    With ``growing`` a last line that has no end yet is left for the next call; the stream must
    then be seekable.
    """
    while content := stream.readline(longest):
        size, ended = len(content), content.endswith(b"\n")
        while not ended and (more := stream.readline(longest)):
            size, ended = size + len(more), more.endswith(b"\n")
        if growing and not ended:
            stream.seek(-size, os.SEEK_CUR)
            return
        yield Line(size, content.rstrip(b"\r\n") if size == len(content) else None)
