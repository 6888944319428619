"""``python -m bench.attacks``: made-up traffic in which nobody attacks, and attacks in it.

Prints figures of docs/security-tracking.md: how many alerts are raised without cause, what a
request costs to count, and how long after its beginning an attack is found. Needs no broker.
"""

import argparse
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.progress import track

from privacy.abuse import Access, Alert, Attack, Rules, Watch

START = 1_795_000_000_000
SITE = "shop.example"
RUNS = 20
MINUTES = 240
PEOPLE = 2_000


def visit(at: float = 0.0, **changes: Any) -> Access:
    """Return a page that somebody saw so many seconds after the start."""
    seen = Access(START + int(at * 1000), SITE, "visitor", "GET", "/tea", 200)
    return replace(seen, **changes)


ATTACKS: Mapping[Attack, Sequence[Access]] = {
    Attack.BRUTE_FORCE: [
        visit(3_600 + 2 * n, token="attacker", method="POST", path="/wp-login.php", status=200)
        for n in range(60)
    ],
    Attack.SCAN: [
        visit(3_600 + n, token="attacker", path=f"/backup-{n}.zip", status=404) for n in range(40)
    ],
    Attack.FLOOD: [visit(3_600 + n / 40, token="attacker") for n in range(1_200)],
    Attack.ERRORS: [visit(3_600 + n / 5, token=f"v{n}", status=503) for n in range(300)],
}


def alerts(accesses: Iterable[Access], rules: Rules) -> list[Alert]:
    """Return what requests raise, the first one first."""
    watch = Watch(rules)
    return [alert for access in accesses for alert in watch.see(access)]


def benign(seed: int, people: int = PEOPLE, minutes: int = MINUTES) -> list[Access]:
    """Return what people and a crawler ask for in so many minutes, in order."""
    chance = random.Random(seed)
    return _in_order([*_people(chance, people, minutes), *_crawler(chance, minutes)])


def planted(kind: Attack, among: Sequence[Access]) -> list[Access]:
    """Return requests among which somebody attacks, an hour after their start."""
    return _in_order([*among, *ATTACKS[kind]])


def _people(chance: random.Random, count: int, minutes: int) -> Iterator[Access]:
    """Yield visits of people: they read, follow a dead link now and then, mistype a password."""
    for number in range(count):
        at, token = chance.uniform(0, minutes * 60), f"visitor-{number}"
        for _ in range(chance.randrange(1, 40)):
            at += chance.expovariate(1 / 8)
            kind = chance.random()
            page = visit(at, token=token, path=f"/page/{chance.randrange(400)}")
            if kind < 0.04:
                yield replace(page, status=404)
            elif kind < 0.06:
                yield replace(page, method="POST", path="/login", status=401)
            elif kind < 0.065:
                yield replace(page, status=500)
            else:
                yield page
                for picture in range(chance.randrange(6)):  # what comes with a page
                    yield replace(page, at=page.at + picture * 20, path=f"/static/{picture}.png")


def _crawler(chance: random.Random, minutes: int) -> Iterator[Access]:
    """Yield the visits of a search engine: a page each second or two, some gone since."""
    for number in range(minutes * 40):
        gone = chance.random() < 0.03
        yield visit(
            number * 1.5, token="crawler", path=f"/old/{number}", status=404 if gone else 200
        )


def _in_order(accesses: list[Access]) -> list[Access]:
    return sorted(accesses, key=lambda each: each.at)


def main() -> None:
    """Run what was asked for and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    runs = parser.parse_args().runs
    console, rules = Console(), Rules()
    requests, raised, seconds = 0, 0, 0.0
    for seed in track(range(runs), "runs", console=console):
        run = benign(seed)
        began = time.process_time()
        raised += len(alerts(run, rules))
        seconds += time.process_time() - began
        requests += len(run)
    console.print(f"{requests:,} requests of {runs} runs: {raised} alerts")
    console.print(f"{seconds / requests * 1e6:.0f} µs a request")
    for kind in Attack:
        (first, *_) = alerts(planted(kind, benign(0)), rules)
        console.print(f"{kind}: found after {(first.at - ATTACKS[kind][0].at) / 1_000:.1f} s")


if __name__ == "__main__":
    main()
