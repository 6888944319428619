"""Words to look for on disks, however they are written."""

from base64 import b64encode
from collections.abc import Iterable


class Words:
    """Bytes to look for, by number."""

    def __init__(self, words: Iterable[bytes]) -> None:
        self._words = list(words)

    def found_in(self, data: bytes) -> set[int]:
        data = data.rstrip(b"\x00")  # Kafka's indexes are mostly nothing
        return {number for number, each in enumerate(self._words) if each in data}


def spellings(text: str) -> list[bytes]:
    """Return a text as it may be written: plainly, wide, and in base64 wherever it begins."""
    plain = text.encode()
    # Three bytes are four letters, wherever in the text the first of three lies.
    threes = [plain[at : len(plain) - (len(plain) - at) % 3] for at in range(3)]
    return [plain, text.encode("utf-16-le"), text.encode("utf-16-be"), *map(b64encode, threes)]
