"""The commands of docs/runbooks.md and docs/backup.md run, and what they say of code is true."""

import re
import shlex
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe.cli import app
from lethe.cli.backup import KEEP_DAYS
from schemas.registry import topics
from sinks.kafka_admin import create_topics
from streams.keys.prepare import prepare
from streams.policy import load
from streams.restoring import archive
from streams.restoring.restore import NEEDED
from streams.settings import Settings
from streams.shared import open_ledger
from tests.commands import known

DOCS = Path(__file__).parents[2] / "docs"
POLICY = Path(__file__).parents[2] / "deploy/policy/reference.toml"
TEXTS = {name: (DOCS / name).read_text() for name in ("runbooks.md", "backup.md")}


def shown() -> Iterator[str]:
    for text in TEXTS.values():
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            yield from block.splitlines()


def mentioned() -> Iterator[str]:
    """Yield commands within sentences that are more than a name."""
    for text in TEXTS.values():
        yield from (each for each in re.findall(r"`(lethe [^`]+)`", text) if " -" in each)


@pytest.fixture
def installed(settings: Settings, database: None, tmp_path: Path) -> dict[str, str]:
    """Return the environment of an installation under the reference policy, with a ledger."""
    del database
    policy, kafka = load(POLICY), settings.kafka
    own = settings.model_copy(update={"policy": POLICY})
    create_topics(
        kafka.bootstrap, kafka.options, kafka.prefix,
        departments=policy.departments, holders=policy.holders,
    )  # fmt: skip
    prepare(own.secrets, policy)
    open_ledger(own).close()
    (tmp_path / "backups").mkdir()
    return own.environment() | {"COLUMNS": "200"}


@pytest.mark.broker
@pytest.mark.clickhouse
def test_every_command_runs(installed: dict[str, str], tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    for line in dict.fromkeys(shown()):
        words = shlex.split(line.replace("/backups/", f"{tmp_path}/backups/"))[1:]
        if words[0] == "restore":
            assert ledger.exists()
            for each in tmp_path.glob("ledger.db*"):
                each.unlink()
            # No provider's credentials here; what is remembered of them has tests of its own.
            text = re.sub(r"(?ms)^\[providers\..*?(?=^\[(?!providers))", "", POLICY.read_text())
            (tmp_path / "policy.toml").write_text(text)
            installed = installed | {"LETHE_POLICY": str(tmp_path / "policy.toml")}
        done = CliRunner().invoke(app, words, env=installed)
        assert done.exit_code == 0, (line, done.output, done.exception)
        if words[0] == "restore":
            assert ledger.exists()


@pytest.mark.parametrize("line", sorted({*shown(), *mentioned()}))
def test_every_command_is_one(line: str) -> None:
    with known(shlex.split(line)[1:]) as (found, rest):
        options = {option for each in found.params for option in each.opts}
        assert {each for each in rest if each.startswith("--")} <= options, line


@pytest.mark.parametrize(
    "section",
    [
        "Lag",
        "Dead letters",
        "Overdue deletions",
        "Key rotation",
        "Provider outage",
        "Restore without bringing anybody back",
        "Adding partitions",
        "Attacks",
    ],
)
def test_a_section_says_what_holds_it_up_and_what_cannot_be_undone(section: str) -> None:
    (text,) = re.findall(rf"(?ms)^## {section}\n(.*?)(?=^## |\Z)", TEXTS["runbooks.md"])
    for part in ("Holds it up", "Cannot be undone"):
        assert len(re.findall(rf"\*\*{part}\*\*: \S", text)) == 1, part


def test_what_is_told_of_bounds_is_the_catalogue_s() -> None:
    assert NEEDED == ("consent-changes",)
    week = int(topics()["consent-changes"].config["retention.ms"])
    assert week == 7 * 86_400_000
    assert "seven days of `consent-changes`" in TEXTS["backup.md"]
    assert {
        int(topics()[f"ads-{each}"].config["retention.ms"]) for each in ("meta", "ga4", "x")
    } == {6 * 3_600_000}
    assert "topics that keep six hours" in TEXTS["backup.md"]
    assert f"`--keep-days` ({KEEP_DAYS})" in TEXTS["backup.md"]


def test_a_backup_holds_neither_salts_nor_keys_of_departments(tmp_path: Path) -> None:
    """It is a manifest and the ledger, and nothing else."""
    ledger = tmp_path / "l.db"
    ledger.write_bytes(b"a ledger")
    manifest = archive.Manifest("0", 1, 1, "sqlite", "", "1", {}, {})
    archive.write(tmp_path / "b.tar", manifest, ledger)
    with tarfile.open(tmp_path / "b.tar") as tar:
        assert tar.getnames() == [archive.MANIFEST, archive.LEDGER]
        assert {each.mode for each in tar.getmembers()} == {0o600}
    assert archive.read(tmp_path / "b.tar").made_at == 1
    assert archive.unpack(tmp_path / "b.tar", tmp_path / "out.db").sha256
    content = bytearray((tmp_path / "b.tar").read_bytes())
    content[content.index(b"a ledger")] ^= 1
    (tmp_path / "b.tar").write_bytes(content)
    with pytest.raises(archive.BackupError, match="damaged"):
        archive.unpack(tmp_path / "b.tar", tmp_path / "out.db")
    for rubbish in (b"", b"nonsense" * 200):
        (tmp_path / "b.tar").write_bytes(rubbish)
        with pytest.raises(archive.BackupError, match="no backup"):
            archive.unpack(tmp_path / "b.tar", tmp_path / "out.db")
