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
    (dead letters). Several workers share the partitions. Metrics: http://127.0.0.1:9464/metrics
    (setting metrics_port).

    Example, two machines: lethe worker --only anonymise; lethe worker --only load --only close
    """
    from streams.run import run_worker
    from streams.settings import load

    raise typer.Exit(run_worker(load(), only))
