"""What a lane reads."""

from typing import Protocol


class Source(Protocol):
    """A message as Kafka's client hands it over."""

    def topic(self) -> str:
        """Return the topic it lies on."""
        ...

    def partition(self) -> int:
        """Return the partition it lies in."""
        ...

    def offset(self) -> int:
        """Return its place in the partition."""
        ...

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of its time, and the milliseconds since 1970."""
        ...

    def value(self) -> bytes | None:
        """Return what it holds."""
        ...
