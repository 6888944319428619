"""Whatever comes in, no more than the network comes out (S11)."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from hypothesis import example, given
from hypothesis import strategies as st

from privacy.network import is_shortened, shorten

V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
# Evenly drawn addresses would hardly ever meet a prefix with a meaning of its own.
PREFIXES = st.sampled_from(
    ["::", "::ffff:0:0", "2002::", "2001::", "64:ff9b::", "fe80::", "2001:db8::"]
)
V6 = st.builds(
    lambda prefix, kept, rest: IPv6Address(int(IPv6Address(prefix)) | (rest >> kept)),
    PREFIXES,
    st.integers(0, 128),
    st.integers(0, 2**128 - 1),
) | st.integers(0, 2**128 - 1).map(IPv6Address)
SPACES = st.text(" \t", max_size=3)
PORT = st.just("") | st.integers(0, 65535).map(lambda port: f":{port}")
ZONE = st.just("") | st.from_regex(r"%[0-9A-Za-z._~-]{1,8}", fullmatch=True)
NEARLY = st.text('0123456789abcdefABCDEF:.%[]" \t/x', max_size=60)

TEREDO = ip_network("2001::/32")
NAT64 = ip_network("64:ff9b::/96")
NAT64_BLOCK = ip_network("64:ff9b::/48")


def network(address: IPv4Address | IPv6Address) -> str | None:
    """Say the same by other means: the standard library's ``ipaddress``."""
    if isinstance(address, IPv6Address):
        if address in NAT64:
            address = IPv4Address(int(address) & 0xFFFFFFFF)
        elif address in TEREDO or address in NAT64_BLOCK:
            return None
        else:
            address = address.ipv4_mapped or address.sixtofour or address
    bits = 24 if address.version == 4 else 48
    return str(ip_network((address, bits), strict=False).network_address)


@given(V4, PORT, SPACES)
def test_ipv4_keeps_24_bits_in_any_dress(address: IPv4Address, port: str, spaces: str) -> None:
    assert shorten(f"{spaces}{address}{port}{spaces}") == network(address)
    assert shorten(f'{spaces}"{address}{port}"') == network(address)


@given(V6, PORT, ZONE, SPACES)
def test_ipv6_keeps_48_bits_in_any_dress(
    address: IPv6Address, port: str, zone: str, spaces: str
) -> None:
    expected = network(address)
    assert shorten(str(address)) == expected
    assert shorten(address.exploded.upper()) == expected
    assert shorten(f"{spaces}{address}{zone}{spaces}") == expected
    assert shorten(f"{spaces}[{address}{zone}]{port}") == expected
    assert shorten(f'"[{address}{zone}]{port}"') == expected


@given(V4 | V6)
def test_shortening_twice_changes_nothing(address: IPv4Address | IPv6Address) -> None:
    short = shorten(str(address))
    assert short is None or shorten(short) == short


@given(st.text() | NEARLY)
@example("64:ff9b::")
@example("2001::")
def test_any_text_is_dropped_or_shortened(text: str) -> None:
    short = shorten(text)
    if short is not None:
        assert is_shortened(short)
        packed = ip_address(short).packed
        assert not any(packed[3 if len(packed) == 4 else 6 :])
    assert is_shortened(text) == (short == text)
