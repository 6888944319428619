"""How much a provider is asked at once, and from when on: less while it does not answer.

One number adapts. It is the requests of a round; below one it is one request and a wait, so that a
provider that is away is tried by one at a time, and what timed out together does not do so again.
"""

import structlog

from sinks.ads.contract import Verdict

AT_ONCE = 128  # requests of one round
NARROWEST = 1 / 32
FIRST_WAIT = 0.2  # seconds before the first retry; doubled for each further one
LONGEST_WAIT = 30.0
STOPPED_WAIT = 60.0
TOKEN_TRIES = 3

_log = structlog.get_logger()


class Circuit:
    """What one provider bears now. Times are boottime, waits seconds."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._width: float = AT_ONCE
        self._closed_until = 0.0
        self._failed = self._answered = 0
        self._refreshed = 0

    @property
    def width(self) -> int:
        """Return how many requests a round may have."""
        return max(1, int(self._width))

    def wait(self, now: float) -> float:
        """Return how long nothing may be sent; 0 or less when something may."""
        return self._closed_until - now

    def note(self, verdict: Verdict) -> None:
        """Note what became of a request; one without an answer counts as RETRY."""
        if verdict in {Verdict.RETRY, Verdict.UNCERTAIN}:
            self._failed += 1
        else:
            self._answered += 1
        if verdict in {Verdict.DELIVERED, Verdict.ACCEPTED}:
            self._refreshed = 0

    def turn(self, now: float) -> None:
        """Adapt to what was noted since the last turn: the answers to one round."""
        if self._failed:
            was, self._width = self._width, max(self._width / 2, NARROWEST)
            if self._width < 1:
                self._close(FIRST_WAIT / self._width, now)
            if was > 1 >= self._width:
                _log.warning("ads_narrowed", provider=self._provider)
        elif self._answered:
            self._width = min(max(1, self._width * 2), AT_ONCE)
        self._failed = self._answered = 0

    def backoff(self, tries: int) -> float:
        """Return how long to wait after so many tries that began."""
        wait: float = min(FIRST_WAIT * 2 ** min(tries, 10), LONGEST_WAIT)
        return wait

    def throttle(self, wait: float | None, now: float) -> float:
        """Close for as long as the provider says, and return that."""
        seconds = LONGEST_WAIT if wait is None else wait
        if self.wait(now) <= 0:
            _log.warning("ads_throttled", provider=self._provider, seconds=seconds)
        self._close(seconds, now)
        return seconds

    def refreshes(self) -> bool:
        """Count a refused token; tell whether another try, which reads it anew, is worth it."""
        self._refreshed += 1
        return self._refreshed <= TOKEN_TRIES

    def stop(self, code: str, now: float) -> float:
        """Close until somebody had time to mend the configuration, and return that."""
        _log.error("ads_stopped", provider=self._provider, reason=code)
        self._close(STOPPED_WAIT, now)
        return STOPPED_WAIT

    def _close(self, seconds: float, now: float) -> None:
        self._closed_until = max(self._closed_until, now + seconds)
