"""What the commands that need the policy or the ledger share."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer
from sqlalchemy.exc import ArgumentError

from privacy.policy import Policy
from sinks.ledger.ledger import UNUSABLE, Ledger
from sinks.migrations import MigrationError
from streams import shared
from streams.policy import PolicyError
from streams.policy import load as load_policy
from streams.settings import Settings, SettingsError
from streams.shared import Shared


@contextmanager
def errors_told(command: str) -> Iterator[None]:
    """Say in one message what an operator can mend, and end the command with exit code 1."""
    try:
        yield
    except BrokenPipeError:  # whoever read our output has seen enough
        raise
    except UNUSABLE as error:
        typer.echo(f"lethe {command}: the ledger: {error}", err=True)
        raise typer.Exit(1) from None
    except (SettingsError, PolicyError, MigrationError, OSError) as error:
        typer.echo(f"lethe {command}: {error}", err=True)
        raise typer.Exit(1) from None


def policy_of(settings: Settings) -> Policy | None:
    """Return the policy that the settings name, if any. Raise PolicyError."""
    return None if settings.policy is None else load_policy(settings.policy)


def known_policy(settings: Settings) -> Policy:
    """Return the policy. Raise PolicyError, and SettingsError when the settings name none."""
    return Shared(settings).known_policy


def unknown_sites(policy: Policy, settings: Settings) -> Sequence[str]:
    """Return the sites the policy names that the settings do not know: nothing comes of them."""
    lists = [each.sites for each in policy.providers.values()]
    lists += [each.sites for each in policy.audiences.values()]
    named = dict.fromkeys(site for sites in lists for site in sites)
    return [site for site in named if site not in settings.sites]


def warn_of_unknown_sites(command: str, policy: Policy, settings: Settings) -> None:
    """Tell of each of ``unknown_sites`` on standard error."""
    for site in unknown_sites(policy, settings):
        typer.echo(
            f"lethe {command}: warning: the policy names the site {site}, which the settings do "
            "not know; nothing comes of it",
            err=True,
        )


def open_ledger(settings: Settings, *, restoring: bool = False) -> Ledger:
    """Open the ledger. Raise SettingsError for a wrong address, and as ``Ledger.open``."""
    try:
        return shared.open_ledger(settings, restoring=restoring)
    except (ValueError, ArgumentError) as error:
        raise SettingsError(str(error)) from None


@contextmanager
def ledger_to_read(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger for a command that only reads, and close it.

    A file that is not there is no empty ledger: in the wrong folder, nobody would have consented.
    Raise SettingsError for that, and as ``open_ledger``.
    """
    file = settings.data_dir / "ledger.db"
    if not settings.ledger and not Path(file).is_file():
        raise SettingsError(
            f"no ledger at {file}; go to the folder with lethe.toml, or start lethe worker"
        )
    ledger = open_ledger(settings)
    try:
        yield ledger
    finally:
        ledger.close()
