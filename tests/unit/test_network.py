"""Addresses are shortened, or dropped; never passed through (S11)."""

import pytest

from privacy.network import LONGEST, is_shortened, shorten

# The reference outputs: IPv4 /24, IPv6 /48, None where the value is dropped and counted.
ROWS = {
    "12.214.31.144": "12.214.31.0",
    "0.0.0.1": "0.0.0.0",
    "255.255.255.255": "255.255.255.0",
    "203.0.113.255": "203.0.113.0",
    "2001:db8:85a3:8d3:1319:8a2e:370:7348": "2001:db8:85a3::",
    "2001:db8:0:8d3:0:8a2e:70:7344": "2001:db8::",
    "2001:6f8:900:724::2": "2001:6f8:900::",
    "2605:2700:0:3::4713:93e3": "2605:2700::",
    "2001:DB8:ABCD:12::F": "2001:db8:abcd::",
    "::1": "::",
    "::": "::",
    "::ffff:152.16.24.123": "152.16.24.0",
    "::ffff:c0a8:0101": "192.168.1.0",
    "::192.168.0.1": "::",
    "2002:c000:0204::1": "192.0.2.0",
    "64:ff9b::192.0.2.33": "192.0.2.0",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": None,
    "fe80::1ff:fe23:4567:890a%eth0": "fe80::",
    "fe80::1%25en0": "fe80::",
    "[2001:db8::1]:443": "2001:db8::",
    "192.0.2.43:47011": "192.0.2.0",
    '"[2001:db8:cafe::17]:4711"': "2001:db8:cafe::",
    " 198.51.100.7 ": "198.51.100.0",
    "10.1.2.3": "10.1.2.0",
    "127.0.0.1": "127.0.0.0",
    "169.254.1.1": "169.254.1.0",
    "unknown": None,
    "_hidden": None,
    "-": None,
    "": None,
    "777.2": None,
    "999.123.777.2": None,
    "1.2.3": None,
    "1.2.3.4.5": None,
    "010.8.8.8": None,
    "0x7f.0.0.1": None,
    "2130706433": None,
    "1.2.3.4, 5.6.7.8": None,
    "2700:zzzz::gggg": None,
    "hello;goodbye": None,
    ":::::::::::::::": None,
    "1::2::3": None,
    "192.168.1.1/24": None,
    "١٩٢.٠.٢.١": None,  # noqa: RUF001, Arabic digits are the point
    "a" * 1_000_000: None,
}
MORE = {
    "[2001:db8::1]": "2001:db8::",
    "[fe80::1%eth0]:80": "fe80::",
    "[::ffff:192.0.2.7]:80": "192.0.2.0",
    "[2002:c000:0204::1]:80": "192.0.2.0",
    "\t192.0.2.7": "192.0.2.0",
    '"192.0.2.7"': "192.0.2.0",
    "64:ff9b:1:2::3": "64:ff9b:1::",  # network-specific NAT64 keeps no IPv4 in 48 bits
    "64:ff9b:0:1::3": None,  # its /48 would read as NAT64 of 0.0.0.0
    "[2001::1]:80": None,
    "2001::1%eth0": None,
    "[192.0.2.7]:80": None,
    "192.0.2.7%eth0": None,
    '"192.0.2.7': None,
    '""192.0.2.7""': None,
    "192.0.2.7:": None,
    "192.0.2.7:123456": None,
    "192.0.2.7:http": None,
    "192.0.2.7\n": None,
    "192.0.2.7\0": None,
    "192.0.2.7 x": None,
    "2001:db8::1%": None,
    "2001:db8::1%a b": None,
    "::ffff:192.0.2.07": None,
    "\ud800": None,
    "\ud800:": None,
    "１.2.3.4": None,  # noqa: RUF001, a full-width digit is the point
}


@pytest.mark.parametrize(
    ("address", "short"), (ROWS | MORE).items(), ids=lambda text: ascii(text)[:50]
)
def test_reference_outputs(address: str, short: str | None) -> None:
    assert shorten(address) == short


def test_text_that_is_too_long_is_not_even_looked_at() -> None:
    assert shorten("192.0.2.7".rjust(LONGEST)) == "192.0.2.0"
    assert shorten("192.0.2.7".rjust(LONGEST + 1)) is None


@pytest.mark.parametrize("short", sorted({short for short in ROWS.values() if short}))
def test_what_comes_out_is_shortened(short: str) -> None:
    assert is_shortened(short)


@pytest.mark.parametrize(
    "address",
    ["192.0.2.7", "2001:db8:1::1", "2001:db8:1:2::", "2001:DB8::", "192.0.2.0:80",
     "::ffff:192.0.2.0", "2002:c000:200::", "2001::", "64:ff9b::", "", "unknown"],
)  # fmt: skip
def test_nothing_else_counts_as_shortened(address: str) -> None:
    assert not is_shortened(address)
