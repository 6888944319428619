"""The worker's loops for profiles, which need ``[profiles]`` in the policy (S11, S12)."""

import threading
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from privacy.durations import DAY_MS
from privacy.policy import Profiles
from privacy.profile import first_city_day, first_day
from privacy.suggestions import affinities
from sinks.keys.intake import profile_key
from sinks.keys.keks import KeyStoreError
from sinks.ledger import profiles
from sinks.ledger.ledger import Ledger
from streams.choices import know
from streams.lanes.profile_erasure import ProfilesByConsent
from streams.lanes.profiles import Profiler, ProfilesLane
from streams.settings import Settings, SettingsError
from streams.shared import Shared, now
from streams.turns import take_turns
from streams.wiring import renewing, rules

AT_ONCE = 1_000  # profiles in one transaction
UPKEEP_SECONDS = 300.0
NEVER = 2**31 - 1  # a day after all others

_log = structlog.get_logger()


def lane(shared: Shared, stop: threading.Event) -> None:
    """Run the profiles lane."""
    settings = shared.settings
    source = shared.consumer(ProfilesLane.name)
    source.subscribe([settings.topic("tracking-events")])
    ProfilesLane(
        Profiler(_rules(shared), require_key(settings)),
        renewing(rules(shared)),
        shared.consents,
        shared.ledger,
        consumer=source,
        known=partial(know, shared.consents),
        batch=settings.lanes.batch,
        wait=settings.lanes.wait_seconds,
        clock=now,
    ).run(stop)


def upkeep(shared: Shared, stop: threading.Event) -> None:
    """Delete what is too old, and find what goes together, every five minutes."""

    def turn() -> None:
        if expired := expire(shared.ledger, _rules(shared), now()):
            _log.info("profiles_expired", count=expired)
        relate(shared.ledger, _rules(shared), now())

    take_turns(turn, stop, UPKEEP_SECONDS)


def expire(ledger: Ledger, policy: Profiles, at: int) -> int:
    """Delete what may no longer be kept at ``at``; return how many profiles that was all of."""
    today = at // DAY_MS
    return _delete(ledger, first_day(policy, today), first_city_day(policy, today))


def _delete(ledger: Ledger, first_day: int, first_city_day: int) -> int:
    total = 0
    while True:
        with ledger.transaction() as connection:
            expired = profiles.expire(connection, first_day, first_city_day, AT_ONCE)
        total += expired
        if expired < AT_ONCE:
            return total


def relate(ledger: Ledger, policy: Profiles, at: int) -> None:
    """Find which interests go together in enough profiles."""
    today = at // DAY_MS
    with ledger.reading() as connection:
        held = profiles.interests(connection, first_day(policy, today))
        found = affinities(held, tuple(policy.interests), today)
    with ledger.transaction() as connection:
        profiles.put_affinities(connection, found)


def by_consent(shared: Shared) -> ProfilesByConsent | None:
    """Return what ends with the consent to it; None without profiles in the policy.

    Then nobody agreed to one any more, and those that are left from before are deleted.
    """
    policy = shared.known_policy.profiles
    if policy is None:
        _delete(shared.ledger, NEVER, NEVER)
        return None
    return ProfilesByConsent(policy.purpose, require_key(shared.settings))


def require_key(settings: Settings) -> bytes:
    """Return the key of pseudonyms. Raise SettingsError when there is none."""
    try:
        return profile_key(settings.secrets)
    except KeyStoreError as error:
        raise SettingsError(f"secrets: {error}") from None


def _rules(shared: Shared) -> Profiles:
    policy = shared.known_policy.profiles
    assert policy is not None  # noqa: S101 - the loops are for policies with profiles
    return policy


# By the name that ``lethe worker --only`` takes.
LOOPS: Mapping[str, Callable[[Shared, threading.Event], None]] = {
    "profiles": lane,
    "profiles-upkeep": upkeep,
}
