"""Rate limits: token buckets, each remembered as the one moment at which it is full again."""

import math
import secrets
from collections import OrderedDict
from hashlib import blake2b
from ipaddress import ip_address


class Buckets:
    """One token bucket a name: ``rate`` tokens a second, at most ``burst`` of them.

    At most ``most`` names are remembered; the one unused for longest is forgotten first, which
    fills its bucket.
    """

    def __init__(self, rate: float, burst: int, most: int = 100_000) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._full_at: OrderedDict[object, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, name: object, tokens: int, now: float) -> int:
        """Take ``tokens`` and return 0, or take none and return the seconds to wait, at least 1.

        ``now`` in seconds, never going back. More tokens than a bucket can hold are given when it
        is full and are paid off afterwards: such a batch must wait its turn, not for ever.
        """
        full_at = max(self._full_at.get(name, now), now)
        missing = (full_at - now) * self._rate + min(tokens, self._burst) - self._burst
        wait = max(0, math.ceil(missing / self._rate))
        self._full_at[name] = full_at if wait else full_at + tokens / self._rate
        self._full_at.move_to_end(name)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return wait

    def forget(self, name: object) -> None:
        """Fill a bucket."""
        self._full_at.pop(name, None)


class Anonymous:
    """Names who comes by a hash under a key that this process alone has, and never writes down."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def __call__(self, address: str | None) -> bytes:
        """Return the name of an address; of an IPv6 one only the network (/64) counts."""
        packed = ip_address(address).packed[:8] if address else b""
        return blake2b(packed, digest_size=8, key=self._key).digest()

    def person(self, known_by: str) -> bytes:
        """Return the name of the person with an e-mail address or a cookie."""
        content = known_by.strip().lower().encode("utf-8", "surrogatepass")
        return blake2b(content, digest_size=16, key=self._key, person=b"person").digest()
