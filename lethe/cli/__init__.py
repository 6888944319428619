"""The command line: one file a command, each imported only when it is asked for."""

import importlib

import typer
from typer.core import TyperGroup

# name -> what it does; the module ``lethe.cli.<name>`` holds a Typer app called ``command``.
COMMANDS = {
    "up": "Start the engines, create topics and tables, and run collector and worker.",
    "demo": "Do the main job once on made-up traffic: statistics by city, ads with consent.",
    "audit": "Search the data folder for full addresses of a log.",
    "doctor": "Say what is missing on this machine and how to get it.",
    "collect": "Run the HTTP collector.",
    "worker": "Run the lanes and agents.",
    "migrate": "List, show or apply ClickHouse migrations.",
    "topics": "List the topic catalogue and who may do what; bring both to the broker.",
    "publish": "Publish events from a file or standard input.",
    "ingest_log": "Publish a web server's log (Common or Combined Log Format).",
    "simulate": "Send made-up traffic through the collector.",
    "report": "Print statistics: cities, pages, referrers and more.",
    "policy": "Check the privacy policy file, show what it says, or print the Art. 30 register.",
    "consent": "Show what a visitor chose, or export the proof of a site's consents.",
    "profiles": "Count profiles, show what is held of a visitor, delete what is too old.",
    "deliveries": "Show what became of the events for ad providers, and of withdrawals.",
    "cases": "Show a department's cases, with the department's token.",
    "keys": "Make departments' keys, rotate them, run the key server, show who asked for a key.",
    "lists": "Show mailing lists, hold addresses against opt-outs, change the key of links.",
    "service_event": "Report what became of a case, or of a whole group.",
    "request": "Send a person's request to the collector: access, erasure and more.",
    "letters": "Show letters as the mail system reads them.",
    "events": "Show who attends an event, as each audience may see it.",
    "requests": "Show what people asked about their data; decide about it.",
    "deletions": "Show deletions, those that are overdue, and their certificates.",
    "standins": "Run local stand-ins for the ad providers.",
    "dead_letters": "Show refused messages; send them again when that is mended.",
    "backup": "Back the ledger up into a file.",
    "restore": "Restore the ledger from a backup; nobody erased since comes back.",
    "security": "Show who attacks, and try the rules on a log.",
    "status": "Show lag, rates and rejects by reason.",
    "geo": "Build, update and describe the city tables.",
}


class _Lazy(TyperGroup):
    """Import a command's module when it is used, so that ``lethe --help`` stays quick."""

    def list_commands(self, ctx: object) -> list[str]:
        del ctx
        return [name.replace("_", "-") for name in COMMANDS]

    def get_command(self, ctx: object, cmd_name: str) -> object:  # type: ignore[override]
        del ctx
        name = cmd_name.replace("-", "_")
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"lethe.cli.{name}").command
        command._add_completion = False  # noqa: SLF001 - the one place for all of them
        found = typer.main.get_command(command)
        found.name, found.short_help = cmd_name, COMMANDS[name]
        return found


app = typer.Typer(
    cls=_Lazy,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Lethe: the event pipeline that makes a privacy policy true.",
)


@app.callback()
def _options() -> None:
    """Lethe: the event pipeline that makes a privacy policy true."""
