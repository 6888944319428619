"""Providers of ads that throttle, fail, are late, cut the line or drip, at random and all along."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from random import Random

from lethe.standins.desk import Answer, Desk, Mood
from lethe.standins.server import PROVIDERS
from streams.delivery.http import ANSWER_SECONDS

EVERY_SECONDS = 1.5
USUAL = Mood()


def _answers(*answers: Answer) -> Callable[[Mood], None]:
    return lambda mood: mood.answers.extend(answers)


def _late(mood: Mood) -> None:
    """Take what is asked, and answer when nobody listens any more."""
    mood.latency = ANSWER_SECONDS + 1


def _slow(mood: Mood) -> None:
    mood.latency = 0.5


def _cut(mood: Mood) -> None:
    mood.vanish = 2


def _drip(mood: Mood) -> None:
    mood.drip = 0.1


MOODS: Mapping[str, Callable[[Mood], None]] = {
    "provider throttles, says how long": _answers(Answer(429, headers={"Retry-After": "1"})),
    "provider throttles": _answers(Answer(429)),
    "provider fails": _answers(Answer(500), Answer(503)),
    "provider answers too late": _late,
    "provider is slow": _slow,
    "provider takes and cuts": _cut,
    "provider drips": _drip,
}

# It is left alone for a minute when it does not say how long: in the end, all is done by then.
TOO_LONG = frozenset({("google-ads", "provider throttles")})


@contextmanager
def moody(desk: Desk, seed: object) -> Iterator[Counter[str]]:
    """Have one provider after the other misbehave until the block ends; gives how often, by how."""
    counts: Counter[str] = Counter()
    over, chance = threading.Event(), Random(f"{seed}")
    providers, ways = sorted(PROVIDERS), sorted(MOODS)

    def work() -> None:
        while not over.is_set():
            provider = chance.choice(providers)
            way = chance.choice([each for each in ways if (provider, each) not in TOO_LONG])
            mood = desk.mood(provider)
            MOODS[way](mood)
            counts[way] += 1
            over.wait(EVERY_SECONDS)
            calm(mood)

    with ThreadPoolExecutor(1, "moods") as pool:
        working = pool.submit(work)
        try:
            yield counts
        finally:
            over.set()
            wait([working])
            for each in list(desk.moods.values()):
                calm(each)
                each.answers.clear()
        working.result()


def calm(mood: Mood) -> None:
    """Have a provider behave again; answers that it has still to give stay."""
    mood.latency, mood.vanish, mood.drip = USUAL.latency, USUAL.vanish, USUAL.drip
