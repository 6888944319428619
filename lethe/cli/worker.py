"""``lethe worker``: the lanes and agents."""

from typing import Annotated

import typer

command = typer.Typer(help="Run the lanes and agents.")


@command.command()
def worker(
    only: Annotated[
        list[str] | None,
        typer.Option(help="A part to run (repeat it); default: all. See the list above."),
    ] = None,
) -> None:
    """Run the lanes and agents until Ctrl-C or SIGTERM, which finish the batch in hand.

    Parts: anonymise, anonymise-raw, load (lanes), close (publishes days that are over), agents
    (dead letters), security (alerts of attacks), gauges (metrics of what waits). With a policy
    also: consent (changes into the ledger), route (events to the topics of ad providers), deliver
    (sends them), settle (lets withdrawals be effective; wanted on every host with deliver). With
    services in it: cases (forms and service events), closures (whole groups, cases in due time),
    delete (shreds what is over), receipts (of holders outside), overdue (alerts). With [rights]:
    requests (what people ask), rights (plans it and does it), visitor-facts (in ClickHouse). With
    [profiles]: profiles, profiles-upkeep. Several workers share the partitions. Metrics, health and
    readiness: http://127.0.0.1:9464/metrics, /healthz, /readyz (settings metrics_host,
    metrics_port).

    Example, two machines: lethe worker --only anonymise; lethe worker --only load --only close
    """
    from lethe.cli.common import errors_told, warn_of_unknown_sites
    from streams.guarding import guard
    from streams.parts import OF_A_POLICY
    from streams.run import run_worker
    from streams.settings import SettingsError, load
    from streams.shared import Shared

    with errors_told("worker"):
        settings = load()
        guard(settings)
        shared = Shared(settings)
        policy = shared.policy
        if policy is not None:
            warn_of_unknown_sites("worker", policy, settings)
            if only is None or "deliver" in only:
                from streams.delivery.connectors import connector

                for provider in policy.providers:
                    connector(provider, settings)  # now, when somebody is here to read what lacks
        elif wants := OF_A_POLICY & set(only or ()):
            raise SettingsError(f"policy: name the policy file; {', '.join(sorted(wants))} need it")
        raise typer.Exit(run_worker(shared, only))
