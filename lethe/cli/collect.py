"""``lethe collect``: the HTTP entrance as a process of its own."""

from typing import Annotated

import typer

command = typer.Typer(help="Run the HTTP collector.")


@command.command()
def collect(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one.")
    ] = None,
) -> None:
    """Run the HTTP collector until Ctrl-C. Defaults come from the settings.

    With a policy in the settings it takes and tells consent, too, and takes its services' forms;
    with rights in the policy, it takes people's requests and hands out their answers.
    """
    import asyncio
    from contextlib import ExitStack
    from functools import partial

    from lethe.cli.common import errors_told, open_ledger, policy_of, warn_of_unknown_sites
    from sinks.keys.intake import links_keys, profile_key, subject_key, unsubscribe_keys
    from sinks.keys.keks import Keks
    from sinks.keys.vault import Vault
    from streams.collector.consent_store import LedgerConsents
    from streams.collector.forms import Forms
    from streams.collector.profile import ProfileRoute
    from streams.collector.requests import Requests
    from streams.collector.server import serve
    from streams.guarding import guard
    from streams.logging import configure
    from streams.settings import load
    from streams.shared import now

    configure("collector")
    with errors_told("collect"), ExitStack() as stack:
        settings = load()
        guard(settings)
        policy = policy_of(settings)
        consents, forms, profiles, requests = None, None, None, None
        if policy is not None:
            warn_of_unknown_sites("collect", policy, settings)
            ledger = open_ledger(settings)
            stack.callback(ledger.close)
            consents = LedgerConsents(ledger)
            vault = Vault(Keks.under(settings.secrets))
            subject = partial(subject_key, settings.secrets)
            forms = Forms(policy.services, ledger, vault, subject)
            if policy.profiles is not None:
                pseudonyms = partial(profile_key, settings.secrets)
                profiles = ProfileRoute(policy.profiles, ledger, pseudonyms, now)
            if policy.rights is not None:
                confirming = partial(links_keys, settings.secrets)
                requests = Requests(policy, ledger, vault, subject, confirming)
        asyncio.run(
            serve(
                settings,
                settings.collector.host if host is None else host,
                settings.collector.port if port is None else port,
                policy=policy,
                consents=consents,
                forms=forms,
                links=partial(unsubscribe_keys, settings.secrets),
                profiles=profiles,
                requests=requests,
                ready=lambda address: typer.echo(f"Collector: {address}"),
            )
        )
