"""Addresses to look for, in every way they could have been written."""

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from privacy.network import is_shortened

# Delimited: 192.0.2.4 is neither in 192.0.2.45 nor in 1.192.0.2.4.
_V4 = re.compile(rb"(?<![0-9])(?<![0-9]\.)[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\.?[0-9])")
_V6 = re.compile(rb"[0-9A-Fa-f:]{2,45}(?:\.[0-9]{1,3}){0,3}")


class Needles:
    """A numbered set of full addresses.

    ``left_out`` are those that equal their own shortened form (192.0.2.0): finding them proves
    nothing. IPv6 is searched in all spellings and as its 16 bytes. IPv4 is searched as text, also
    mapped into IPv6; its 4 bytes occur by chance in any large file, so they count only where a
    column is typed as an address, and Lethe's tables have none (a test sees to that).
    """

    def __init__(self, addresses: Iterable[str]) -> None:
        wanted = sorted({ip_address(each) for each in addresses}, key=str)
        self.left_out = [str(each) for each in wanted if is_shortened(str(each))]
        self.addresses = [str(each) for each in wanted if not is_shortened(str(each))]
        self._numbers = {ip_address(each): number for number, each in enumerate(self.addresses)}
        packed = [each.packed for each in self._numbers if isinstance(each, IPv6Address)]
        self._packed = re.compile(b"|".join(map(re.escape, packed))) if packed else None

    def found_in(self, data: bytes) -> set[int]:
        """Return the numbers of the addresses that ``data`` holds."""
        return {self._numbers[each] for each in self._candidates(data) if each in self._numbers}

    def _candidates(self, data: bytes) -> Iterator[IPv4Address | IPv6Address]:
        for match in _V4.finditer(data):
            yield from _read(match[0])
        for match in _V6.finditer(data):
            if match[0].count(b":") > 1:
                # The byte before may be the length of the text and look like a digit of it.
                yield from _read(match[0])
                yield from _read(match[0][1:])
        if self._packed is not None:
            for match in self._packed.finditer(data):
                yield IPv6Address(match[0])


def _read(text: bytes) -> Iterator[IPv4Address | IPv6Address]:
    try:
        address = ip_address(text.decode("ascii"))
    except ValueError:
        return
    yield address
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        yield address.ipv4_mapped


def readable(text: str) -> bool:
    """Tell whether ``text`` is an address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
