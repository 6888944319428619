"""A token tells addresses apart while its salt exists, and nothing else (S8)."""

from pathlib import Path

import pytest

from privacy.durations import HOUR_MS
from privacy.pseudonym import Salt, address_token, visitor_hash
from schemas.codec import decode
from sinks.salts import ADDRESSES, VISITORS, Salts
from streams.accesses import Accesses, Answered
from streams.settings import load

NOW = 1_795_000_000_000
SALT, OTHER = Salt(b"a" * 32), Salt(b"b" * 32)


def test_a_token_tells_addresses_apart() -> None:
    first = address_token(SALT, "192.0.2.7")
    assert first == address_token(SALT, "192.0.2.7")
    assert first != address_token(SALT, "192.0.2.8")
    assert len(first) == 32


def test_another_salt_gives_another_token() -> None:
    assert address_token(SALT, "192.0.2.7") != address_token(OTHER, "192.0.2.7")


def test_of_an_ipv6_address_the_network_counts() -> None:
    assert address_token(SALT, "2001:db8::1") == address_token(SALT, "2001:db8::ffff:1")
    assert address_token(SALT, "2001:db8::1") != address_token(SALT, "2001:db8:0:1::1")


def test_a_token_is_no_visitor_hash() -> None:
    token = address_token(SALT, "192.0.2.7")
    hashed = visitor_hash(SALT, "", 0, None, None, "192.0.2.7")
    assert (hashed % 2**64).to_bytes(8, "big").hex() not in token


def test_no_salt_of_addresses_lives_for_a_day(tmp_path: Path) -> None:
    """Made at the first moment of a period, it is gone 14 hours later, from every file."""
    salts = Salts.under(tmp_path, ADDRESSES)
    start = NOW - NOW % ADDRESSES.period_ms
    salt = salts.current(start)
    assert not [s for _, s in salts.kept() if s != salt]
    assert salts.destroy_old(start + 14 * HOUR_MS - 1)
    assert [each for _, each in salts.kept()] == [salt]
    assert salts.destroy_old(start + 14 * HOUR_MS)
    assert salts.kept() == []
    on_disk = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    assert bytes(salt) not in on_disk


def test_visitors_and_addresses_have_salts_of_their_own(tmp_path: Path) -> None:
    visitors, addresses = (Salts.under(tmp_path, each) for each in (VISITORS, ADDRESSES))
    assert visitors.current(NOW) != addresses.current(NOW)
    assert visitors.kept()[0][0] * 2 <= addresses.kept()[0][0]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/login?user=ann", "/login"),
        ("/people/ann@example.com", "/people/:email"),
        ("\x00", "/:unreadable"),
    ],
)
def test_what_is_told_of_a_request_names_nobody(tmp_path: Path, path: str, told: str) -> None:
    accesses = Accesses(load(engines=False, data_dir=tmp_path), "log")
    answered = Answered(NOW, "192.0.2.7", "BREW", path, 404)
    message = accesses.message("event-1", answered, site="shop.example", now=NOW)
    record = decode("access", message.value)
    assert (record["path"], record["method"]) == (told, "OTHER")
    assert message.key == record["token"].encode()
    assert "event-1" not in record["id"]
    assert b"192.0.2" not in message.value


def test_what_is_told_cannot_be_joined_with_the_event(tmp_path: Path) -> None:
    """Tokens would lead to visitors' hashes: neither by an id nor by the page that was read."""
    accesses = Accesses(load(engines=False, data_dir=tmp_path), "log")

    def told(now: int, status: int = 200) -> dict[str, object]:
        answered = Answered(NOW, "192.0.2.7", "GET", "/tea/green", status)
        message = accesses.message("event-1", answered, site="shop.example", now=now)
        return decode("access", message.value)

    first = told(NOW)
    assert first["path"] == ""
    assert told(NOW, status=404)["path"] == "/tea/green"
    assert told(NOW)["id"] == first["id"], "what is told twice is the same"
    later = told(NOW + ADDRESSES.period_ms)
    assert later["id"] != first["id"]
    assert later["token"] != first["token"]
