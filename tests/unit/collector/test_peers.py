import pytest

from streams.collector.peers import address, client_address

PROXY = "203.0.113.9"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1\t", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]:_port", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        *(
            (text, None)
            for text in (
                *("", "unknown", "_hidden", "192.0.2", "192.0.2.01", "192.0.2.256", "0xc0000201"),
                *("3221225985", "192.0.2.1/24", "fe80::1%eth0", "[2001:db8::1", "2001:db8::1]"),
                *("[[2001:db8::1]]", "a.example", "١٩٢.0.2.1", "192.0.2.1 192.0.2.2", "\udcff"),
            )
        ),
        (None, None),
    ],
)
def test_reads_an_address_or_nothing(text: str | None, expected: str | None) -> None:
    assert address(text) == expected


@pytest.mark.parametrize("headers", [[], ["192.0.2.1"], ["192.0.2.1, 192.0.2.2"]])
def test_without_proxies_headers_are_ignored(headers: list[str]) -> None:
    assert client_address(PROXY, headers, [f"for={each}" for each in headers], 0) == PROXY


@pytest.mark.parametrize(
    ("lines", "hops", "expected"),
    [
        (["192.0.2.1"], 1, "192.0.2.1"),
        (["198.51.100.66, 192.0.2.1"], 1, "192.0.2.1"),
        (["198.51.100.66, 192.0.2.1, 203.0.113.1"], 2, "192.0.2.1"),
        (["198.51.100.66", "192.0.2.1"], 1, "192.0.2.1"),
        (["198.51.100.66, 192.0.2.1", "203.0.113.1"], 2, "192.0.2.1"),
        (["198.51.100.66,2001:db8::1"], 1, "2001:db8::1"),
        (["192.0.2.1:55555"], 1, "192.0.2.1"),
        (["192.0.2.1"], 2, None),  # too few: someone went round the outer proxy
        (["198.51.100.66, unknown"], 1, None),
        (["198.51.100.66, _hidden"], 1, None),
        (["198.51.100.66,"], 1, None),
        (["198.51.100.66, "], 1, None),
        ([""], 1, None),
        ([], 1, None),
    ],
)
def test_takes_the_entry_our_proxies_wrote(
    lines: list[str], hops: int, expected: str | None
) -> None:
    assert client_address(PROXY, lines, [], hops) == expected


@pytest.mark.parametrize(
    ("lines", "hops", "expected"),
    [
        (["for=192.0.2.1"], 1, "192.0.2.1"),
        (["For=192.0.2.1;proto=https;by=203.0.113.1"], 1, "192.0.2.1"),
        (['proto=https;for="192.0.2.1:80"'], 1, "192.0.2.1"),
        (["for=192.0.2.1:80"], 1, "192.0.2.1"),
        (['for="[2001:db8::1]"'], 1, "2001:db8::1"),
        (['for="[2001:db8::1]:80"; proto=http'], 1, "2001:db8::1"),
        (['for="\\[2001:db8::1\\]"'], 1, "2001:db8::1"),
        (['for=198.51.100.66, for="192.0.2.1"'], 1, "192.0.2.1"),
        (["for=198.51.100.66", "for=192.0.2.1, for=203.0.113.1"], 2, "192.0.2.1"),
        (['host="a,for=198.51.100.66";for=192.0.2.1'], 1, "192.0.2.1"),
        (["for=192.0.2.1"], 2, None),
        (["for=198.51.100.66, for=unknown"], 1, None),
        (['for=198.51.100.66, for="_hidden"'], 1, None),
        (["for=198.51.100.66, proto=https"], 1, None),
        (["for=198.51.100.66, "], 1, None),
        (["192.0.2.1"], 1, None),
        (["for=192.0.2.1;for=198.51.100.66"], 1, None),
        ([""], 1, None),
    ],
)
def test_reads_forwarded_as_rfc_7239_writes_it(
    lines: list[str], hops: int, expected: str | None
) -> None:
    assert client_address(PROXY, [], lines, hops) == expected


@pytest.mark.parametrize(
    "opened",
    ['for=198.51.100.66;x="', 'for="198.51.100.66', 'for=198.51.100.66, x="\\', '"', "for=;;"],
)
@pytest.mark.parametrize("ours", ["for=192.0.2.1", 'for="[2001:db8::1]:80"', 'for="192.0.2.1"'])
def test_a_client_cannot_swallow_what_our_proxy_appends(opened: str, ours: str) -> None:
    """An open quotation makes the address unknown, not the client's choice."""
    for lines in ([f"{opened}, {ours}"], [opened, ours]):
        assert client_address(PROXY, [], lines, 1) is None


@pytest.mark.parametrize(
    ("forwarded_for", "forwarded", "expected"),
    [
        ("192.0.2.1", "for=192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "for=198.51.100.66", None),
        ("198.51.100.66", "for=192.0.2.1", None),
        ("192.0.2.1", "garbage", None),
        ("", "for=192.0.2.1", None),
    ],
)
def test_two_headers_must_agree(forwarded_for: str, forwarded: str, expected: str | None) -> None:
    """Our proxies write one of the two; the other may be the client's invention."""
    assert client_address(PROXY, [forwarded_for], [forwarded], 1) == expected
