"""Moods of providers: each is had, and none is left when they end."""

import pytest

from lethe.standins.desk import Desk
from tests.chaos import providers


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "EVERY_SECONDS", 0.001)


def test_moods_change_at_random_and_end() -> None:
    desk, met = Desk(), set()
    with providers.moody(desk, "seed") as counts:
        while len(counts) < len(providers.MOODS):
            moods = desk.moods.copy()
            met |= {name for name, mood in moods.items() if mood != providers.USUAL}
    assert all(counts.values())
    assert met
    assert set(desk.moods) <= set(providers.PROVIDERS)
    assert all(mood == providers.USUAL for mood in desk.moods.values())


def test_the_same_seed_gives_the_same_moods() -> None:
    def first() -> list[str]:
        with providers.moody(Desk(), "seed") as counts:
            while len(counts) < 4:
                pass
        return list(counts)[:4]

    assert first() == first()
