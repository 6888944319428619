"""Attacks are found within their window, and nobody else is called an attacker (S8)."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from privacy.abuse import Access, Alert, Attack, Rule, Rules, Watch

START = 1_795_000_000_000
SITE = "shop.example"
RULES = Rules()


def visit(at: float = 0.0, **changes: object) -> Access:
    """Return a page that somebody saw so many seconds after the start."""
    seen = Access(START + int(at * 1000), SITE, "visitor", "GET", "/tea", 200)
    return replace(seen, **changes)


def alerts(accesses: Iterable[Access], rules: Rules = RULES) -> list[Alert]:
    watch = Watch(rules)
    return [alert for access in accesses for alert in watch.see(access)]


def people(chance: random.Random, count: int, minutes: int) -> Iterator[Access]:
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


def crawler(chance: random.Random, minutes: int) -> Iterator[Access]:
    """Yield the visits of a search engine: a page each second or two, some gone since."""
    for number in range(minutes * 40):
        gone = chance.random() < 0.03
        yield visit(
            number * 1.5, token="crawler", path=f"/old/{number}", status=404 if gone else 200
        )


@pytest.fixture(scope="module")
def benign() -> list[Access]:
    chance = random.Random(20_261_129)
    found = [*people(chance, 2_000, 240), *crawler(chance, 240)]
    return sorted(found, key=lambda each: each.at)


ATTACKS = {
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


def test_nobody_is_called_an_attacker_without_cause(benign: list[Access]) -> None:
    assert len(benign) > 80_000
    assert not alerts(benign)


@pytest.mark.parametrize("kind", Attack)
def test_an_attack_among_people_is_found_within_its_window(
    benign: list[Access], kind: Attack
) -> None:
    planted = sorted([*benign, *ATTACKS[kind]], key=lambda each: each.at)
    found = alerts(planted)
    assert {each.kind for each in found} == {kind}
    assert {each.token for each in found} == {None if kind is Attack.ERRORS else "attacker"}
    began = ATTACKS[kind][0].at
    assert found[0].at - began <= RULES.rule(kind).seconds * 1_000
    assert {each.count for each in found} >= {found[0].count}
    assert found[0].count >= RULES.rule(kind).count


def test_what_only_attackers_ask_for_counts_whatever_was_answered() -> None:
    probes = ["/.env", "/.git/config", "/wp-login.php", "/phpmyadmin/", "/cgi-bin/x", "/a/../b"]
    rules = replace(RULES, scan=Rule(len(probes), 300))
    assert [each.kind for each in alerts([visit(path=p) for p in probes], rules)] == [Attack.SCAN]
    assert not alerts([visit(path=f"/environment/{n}") for n in range(20)], rules)


def test_the_same_missing_page_is_no_scan() -> None:
    assert not alerts([visit(n / 10, status=404) for n in range(100)])


def test_a_log_in_that_leads_on_is_no_attack() -> None:
    """Of people behind one address, each is sent on to the page wanted."""
    assert not alerts([visit(n, method="POST", path="/login", status=302) for n in range(100)])


def test_few_failures_among_many_answers_are_no_burst() -> None:
    many = [visit(n / 20, token=f"v{n}", status=503 if n % 10 == 0 else 200) for n in range(1_200)]
    assert not alerts(many)
    assert alerts(many, replace(RULES, error_share=0.05))


def test_an_unknown_address_raises_no_alert_of_somebody() -> None:
    assert not alerts([visit(n / 50, token=None, status=403) for n in range(1_000)])


def test_memory_is_bounded() -> None:
    watch = Watch(RULES, most=100)
    for number in range(5_000):
        list(watch.see(visit(number / 100, token=f"v{number}", status=404)))
    assert len(watch) == 100
