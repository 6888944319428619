"""Secrets that others can reach are refused, and a process leaves no core dump."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lethe.cli import app
from streams.guarding import exposed, require_private
from streams.settings import SettingsError


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return secrets in folders that everybody may enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as place:
        keks = Path(place, "secrets", "keks")
        keks.mkdir(parents=True)
        for each in (keks / "marketing", keks.parent / "subject-key"):
            each.touch(mode=0o600)
            each.write_text("of-nobody-else")
        for each in (keks, keks.parent, Path(place)):
            each.chmod(0o755)
        yield keks.parent


def test_files_of_their_owner_alone_are_private(folder: Path) -> None:
    assert list(exposed(folder)) == []
    require_private(folder)
    require_private(folder / "not there")


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o620, 0o644, 0o666, 0o777])
def test_who_else_may_read_or_write_is_refused(folder: Path, mode: int) -> None:
    (folder / "keks" / "marketing").chmod(mode)
    with pytest.raises(SettingsError, match="keks/marketing") as refused:
        require_private(folder)
    assert f"chmod -R g-w,o= {folder}" in str(refused.value)
    assert "of-nobody-else" not in str(refused.value)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o440])
def test_a_service_may_share_them_with_its_group(folder: Path, mode: int) -> None:
    (folder / "keks" / "marketing").chmod(mode)
    require_private(folder)


@pytest.mark.parametrize("mode", [0o757, 0o777, 0o775])
def test_a_folder_in_which_others_may_put_files_is_refused(folder: Path, mode: int) -> None:
    (folder / "keks").chmod(mode)
    with pytest.raises(SettingsError, match="keks"):
        require_private(folder)


@pytest.mark.parametrize("closed", ["secrets", "keks"])
def test_below_a_closed_folder_modes_do_not_matter(folder: Path, closed: str) -> None:
    (folder / "keks" / "marketing").chmod(0o666)
    {"secrets": folder, "keks": folder / "keks"}[closed].chmod(0o700)
    require_private(folder)


@pytest.mark.parametrize(
    "command", [("collect",), ("worker",), ("keys", "serve"), ("up", "--engines-only")]
)
def test_no_process_starts_with_secrets_that_others_reach(
    folder: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("LETHE_SECRETS_DIR", str(folder))
    (folder / "subject-key").chmod(0o644)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "subject-key" in done.output


def test_a_process_that_has_secrets_leaves_no_core_dump() -> None:
    code = (
        "import ctypes, resource; from sinks import dumps; dumps.forbid();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert found.stdout.split() == ["(0,", "0)", "0"]
