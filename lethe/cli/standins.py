"""``lethe standins``: the ad providers' stand-ins, until Ctrl-C."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from lethe.standins.desk import Desk

command = typer.Typer(help="Run local stand-ins for the ad providers.")


@command.command()
def standins(
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any free one.")
    ] = 8090,
    latency: Annotated[
        float, typer.Option(min=0, max=600_000, help="Milliseconds before each answer.")
    ] = 0,
    set_up: Annotated[
        bool,
        typer.Option(
            "--set-up", help="Write lethe.toml, where there is none yet, and the credentials."
        ),
    ] = False,
) -> None:
    """Run a stand-in for each ad provider, and show what it meets, until Ctrl-C.

    They enforce the providers' contracts, keep what came in memory, and send nothing anywhere.
    GET /desk/calls and /desk/taken tell it as JSON; POST /desk/mood has a provider misbehave.

    Example: lethe standins --set-up
    """
    import asyncio

    from rich.console import Console

    from lethe.cli.common import errors_told
    from lethe.standins.desk import Desk
    from lethe.standins.server import PROVIDERS

    desk = Desk()
    for name in PROVIDERS:
        desk.mood(name).latency = latency / 1000
    console = Console()
    with errors_told("standins"):
        asyncio.run(_run(desk, port, console, set_up=set_up))
    console.print("stopped")


async def _run(desk: "Desk", port: int, console: "Console", *, set_up: bool) -> None:
    """Serve and show, until the first SIGINT or SIGTERM."""
    import asyncio
    import signal
    from contextlib import suppress

    from rich.live import Live

    from lethe.standins.server import serving

    over = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, over.set)
    async with serving(desk, "127.0.0.1", port) as url:
        _introduce(url, _set_up(url) if set_up else _wanted(url), console)
        with Live(_table(desk), console=console, auto_refresh=False) as live:
            while not over.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 1.0)
                live.update(_table(desk), refresh=True)


def _introduce(url: str, what: str, console: "Console") -> None:
    for text in (
        f"Stand-ins: {url}, what they took: {url}/desk/taken",
        what,
        "\nCtrl-C stops them.",
    ):
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _set_up(url: str) -> str:
    from lethe.standins.account import set_up
    from streams.settings import load, settings_file

    file, secrets = settings_file(), load(engines=False).secrets
    set_up(url, file, secrets)
    return f"{file} and {secrets / 'ads'} are written: start lethe up anew."


def _wanted(url: str) -> str:
    from lethe.standins.account import CREDENTIALS, sections

    return "\n".join(
        (
            "Lethe talks to them with this in lethe.toml, and these files below <secrets>/ads:\n",
            sections(url),
            *(f"# {file}: {credential}" for file, credential in CREDENTIALS.items()),
        )
    )


def _table(desk: "Desk") -> "Table":
    from rich.table import Table

    from lethe.standins.desk import KEPT
    from lethe.standins.server import tally

    table = Table("provider", caption=f"of the last {KEPT:,} calls")
    for column in ("calls", "events taken", "calls refused"):
        table.add_column(column, justify="right")
    for name, (calls, events, refused) in tally(desk).items():
        table.add_row(name, f"{calls:,}", f"{events:,}", f"{refused:,}")
    return table
