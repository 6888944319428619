"""Attacks are found within their window, and nobody else is called an attacker (S8)."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from bench.attacks import ATTACKS, MINUTES, benign, planted, visit
from bench.attacks import alerts as raised
from privacy.abuse import Access, Alert, Attack, Rule, Rules, Watch

RULES = Rules()


def alerts(accesses: Iterable[Access], rules: Rules = RULES) -> list[Alert]:
    return raised(accesses, rules)


@pytest.fixture(scope="module")
def traffic() -> list[Access]:
    return benign(20_261_129)


def test_nobody_is_called_an_attacker_without_cause(traffic: list[Access]) -> None:
    assert len(traffic) > 80_000
    assert not alerts(traffic)


@pytest.mark.parametrize("seed", range(20))
def test_nor_is_anybody_in_the_runs_that_are_published(seed: int) -> None:
    """As many people an hour as there, for fewer hours: ``python -m bench.attacks`` runs all."""
    few = benign(seed, people=100, minutes=MINUTES // 20)
    assert len(few) > 5_000
    assert not alerts(few)


@pytest.mark.parametrize("kind", Attack)
def test_an_attack_among_people_is_found_within_its_window(
    traffic: list[Access], kind: Attack
) -> None:
    found = alerts(planted(kind, traffic))
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
