"""Addresses are located in columns exactly as one by one."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from privacy.network import is_shortened, shorten
from privacy.pseudonym import Salt
from streams.lanes.rules import FULL, UNREADABLE, Rules


class Map:
    """Each network has a code of its own: its first 24 bits for IPv4, 5 for all others."""

    def locate(self, addresses: list[str | None]) -> np.ndarray:
        return np.array([self._one(each) for each in addresses], np.int32)

    @staticmethod
    def _one(address: str | None) -> int:
        if address is None or ":" in address or not is_shortened(address):
            return 5 if address else 0
        a, b, c, _ = map(int, address.split("."))
        return a << 16 | b << 8 | c

    def locate_v4(self, networks: np.ndarray) -> np.ndarray:
        return networks.astype(np.int32)


octet = st.integers(0, 300).map(str) | st.sampled_from(["00", "01", "0", "255", "256", ""])
address = st.one_of(
    st.none(),
    st.tuples(octet, octet, octet, st.just("0") | octet).map(".".join),
    st.ip_addresses(v=6).map(str),
    st.ip_addresses(v=6).map(lambda each: shorten(str(each))),
    st.text(max_size=12),
)


@given(st.lists(address, max_size=9))
def test_a_column_of_addresses(addresses: list[str | None]) -> None:
    places = Map()
    rules = Rules({}, places, lambda _: Salt(b"0" * 32))  # type: ignore[arg-type]
    expected = [
        0
        if each is None
        else int(places.locate([each])[0])
        if is_shortened(each)
        else UNREADABLE
        if shorten(each) is None
        else FULL
        for each in addresses
    ]
    assert rules.locate(pa.array(addresses, pa.string())).tolist() == expected
