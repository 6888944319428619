"""``lethe profiles``: how many, what is held of a visitor, and what is too old (S11, S12)."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lethe.cli.policy import Format

if TYPE_CHECKING:
    from privacy.policy import Profiles
    from privacy.profile import Profile
    from streams.settings import Settings

command = typer.Typer(
    help="Count profiles, show what is held of a visitor, delete what is too old.",
    no_args_is_help=True,
)


@command.command()
def count() -> None:
    """Print how many visitors have a profile.

    Example: lethe profiles count
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from sinks.ledger import profiles
    from streams.settings import load

    with (
        errors_told("profiles"),
        ledger_to_read(load()) as ledger,
        ledger.reading() as connection,
    ):
        typer.echo(profiles.count(connection))


@command.command()
def show(
    *,
    site: Annotated[str, typer.Option(help="The site, as the settings name it.")],
    cookie: Annotated[str, typer.Option(help="The visitor's cookie id.")],
    output: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TABLE,
) -> None:
    """Show all that is held of a visitor, also cities that no site is told.

    Example: lethe profiles show --site shop.example --cookie c-2f81
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from lethe.cli.rows import tell_rows
    from privacy.durations import DAY_MS
    from privacy.profile import pseudonym
    from sinks.ledger import profiles
    from streams.profiles import require_key
    from streams.settings import load
    from streams.shared import now

    with errors_told("profiles"):
        settings = load()
        rules = _rules(settings)
        whose = pseudonym(require_key(settings), site, cookie)
        with ledger_to_read(settings) as ledger, ledger.reading() as connection:
            profile = profiles.of(connection, whose)
    rows = [] if profile is None else _rows(profile, rules, now() // DAY_MS)
    tell_rows(
        rows,
        f"What is held of {cookie} on {site}",
        f"nothing is held of this visitor of {site}",
        as_json=output is Format.JSON,
        err=True,
    )


@command.command()
def expire() -> None:
    """Delete what is older than the policy lets it be kept; the worker does so every five minutes.

    Example: lethe profiles expire
    """
    from lethe.cli.common import errors_told, ledger_to_read
    from streams import profiles
    from streams.settings import load
    from streams.shared import now

    with errors_told("profiles"):
        settings = load()
        rules = _rules(settings)
        with ledger_to_read(settings) as ledger:
            expired = profiles.expire(ledger, rules, now())
    typer.echo(f"{expired:,} profiles are deleted")


def _rules(settings: "Settings") -> "Profiles":
    """Return the policy's rules for profiles. Raise SettingsError when it has none."""
    from lethe.cli.common import known_policy
    from streams.settings import SettingsError

    rules = known_policy(settings).profiles
    if rules is None:
        raise SettingsError("policy: has no profiles; describe them in [profiles]")
    return rules


def _rows(profile: "Profile", rules: "Profiles", today: int) -> list[dict[str, Any]]:
    from privacy.profile import regular_cities, strengths

    shown = regular_cities(profile, rules, today)
    told = strengths(profile, rules, today)
    cities = [
        {
            "kind": "city",
            "what": f"{city.city}, {city.country}",
            "told": city in shown,
            "last": _date(max(days)),
            "because": f"{len(days)} days",
        }
        for city, days in profile.cities.items()
    ]
    interests = [
        {
            "kind": "interest",
            "what": name,
            "told": name in told,
            "last": _date(held.last_day),
            "because": f"signs: {held.weight:.1f}",
        }
        for name, held in profile.interests.items()
    ]
    said = [
        {
            "kind": "correction",
            "what": name,
            "told": name in told,
            "last": None,
            "because": "put in by the person" if put_in else "taken out by the person",
        }
        for name, put_in in profile.corrected.items()
    ]
    return [*cities, *interests, *said]


def _date(day: int) -> str | None:
    from lethe.cli.rows import iso
    from privacy.durations import DAY_MS

    return iso(day * DAY_MS)
