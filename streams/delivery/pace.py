"""Keep to a provider's limits: at most so many in any window, not only on average."""

from collections import deque

from sinks.ads.contract import Limits

MINUTE = 60.0
QUARTER = 900.0
DAY = 86_400.0


class Window:
    """At most ``most`` in any ``seconds``; 0 is no limit. Times are of one steady clock."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._taken: deque[tuple[float, int]] = deque()
        self._sum = 0

    def wait(self, many: int, now: float) -> float:
        """Return the seconds until ``many`` more fit; 0 when they do."""
        if not self._most:
            return 0.0
        while self._taken and self._taken[0][0] <= now - self._seconds:
            self._sum -= self._taken.popleft()[1]
        over = self._sum + many - self._most
        if over <= 0:
            return 0.0
        for at, count in self._taken:
            over -= count
            if over <= 0:
                return at + self._seconds - now
        return self._seconds

    def take(self, many: int, now: float) -> None:
        """Count ``many``."""
        if self._most:
            self._taken.append((now, many))
            self._sum += many


class Pace:
    """All limits of one provider's account."""

    def __init__(self, limits: Limits) -> None:
        self._requests = (
            Window(limits.requests_a_minute, MINUTE),
            Window(limits.requests_a_day, DAY),
        )
        self._events = Window(limits.events_a_quarter_hour, QUARTER)

    def take(self, events: int, now: float) -> float:
        """Count one request of so many events and return 0, or the seconds until it may be sent."""
        wait = max(
            *(window.wait(1, now) for window in self._requests), self._events.wait(events, now)
        )
        if not wait:
            for window in self._requests:
                window.take(1, now)
            self._events.take(events, now)
        return wait
