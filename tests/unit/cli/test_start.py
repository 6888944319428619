"""How ``lethe collect`` and ``lethe worker`` start with a policy, or say why they do not."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from privacy.consent import Decision
from streams import policy, run
from streams.collector import server

Lethe = Callable[..., Result]
Change = Callable[..., None]


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what collector and worker were started with, of which none runs."""
    calls: list[dict[str, Any]] = []

    async def serve(settings: Any, host: str, port: int, **given: Any) -> None:
        of = given["consents"] and await given["consents"].of("shop.example", "c-1")
        calls.append({"settings": settings, "at": (host, port), "of": of, **given})

    def run_worker(shared: Any, only: Any) -> int:
        calls.append({"policy": shared.policy, "only": only})
        return 3

    monkeypatch.setattr(server, "serve", serve)
    monkeypatch.setattr(run, "run_worker", run_worker)
    return calls


def put_token() -> None:
    folder = Path(".lethe/secrets/ads")
    folder.mkdir(parents=True)
    (folder / "linkedin-token").write_text("token")


def test_the_collector_gets_policy_and_consents(
    lethe: Lethe, change: Change, started: list[dict[str, Any]]
) -> None:
    change(1, Decision.GIVEN)
    result = lethe("collect", "--port", "0")
    assert (result.exit_code, result.stderr) == (0, "")
    (call,) = started
    assert call["at"] == ("127.0.0.1", 0)
    assert list(call["policy"].purposes) == ["reading", "ads"]
    assert call["of"].consent.standings["ads"].decision == Decision.GIVEN


def test_without_a_policy_there_is_no_ledger_either(
    lethe: Lethe, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LETHE_POLICY")
    assert lethe("collect").exit_code == 0
    assert (started[0]["policy"], started[0]["consents"]) == (None, None)
    assert not Path(".lethe/ledger.db").exists()


def test_the_worker_s_exit_code_is_kept(lethe: Lethe, started: list[dict[str, Any]]) -> None:
    put_token()
    result = lethe("worker", "--only", "route", "--only", "deliver")
    assert (result.exit_code, result.stderr) == (3, "")
    assert started[0]["only"] == ["route", "deliver"]


def test_the_worker_runs_on_the_policy_that_was_checked(
    lethe: Lethe, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_token()
    read: list[Path] = []
    reading = policy.read
    monkeypatch.setattr(policy, "read", lambda path: (read.append(path), reading(path))[1])
    lethe("worker")
    assert list(started[0]["policy"].purposes) == ["reading", "ads"]
    assert len(read) == 1, "a file that changes meanwhile would be another policy"


@pytest.mark.parametrize("command", ["collect", "worker"])
def test_a_policy_that_cannot_be_used_is_one_message(
    lethe: Lethe, started: list[dict[str, Any]], command: str
) -> None:
    Path("policy.toml").write_text('version = "1"\nverzion = "1"\n')
    result = lethe(command)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"lethe {command}: policy.toml:")
    assert "verzion" in result.stderr
    assert isinstance(result.exception, SystemExit)
    assert not started


@pytest.mark.parametrize("command", ["collect", "worker"])
def test_settings_that_cannot_be_used_are_one_message(
    lethe: Lethe, started: list[dict[str, Any]], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETHE_METRICS_PORT", "a secret")
    result = lethe(command)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"lethe {command}: metrics_port: ")
    assert "a secret" not in result.stderr
    assert not started


@pytest.mark.parametrize("command", ["collect", "worker"])
def test_a_site_that_the_settings_do_not_know_is_warned_of(
    lethe: Lethe, started: list[dict[str, Any]], command: str
) -> None:
    put_token()
    text = Path("policy.toml").read_text()
    audience = '[audiences.buyers]\nsites = ["gone.example"]\npages = ["/thanks"]\n'
    Path("policy.toml").write_text(
        text.replace('["shop.example"]', '["shop.example", "typo.example"]') + audience
    )
    warned = lethe(command).stderr.splitlines()
    assert [line.partition("the site ")[2].partition(",")[0] for line in warned] == [
        "typo.example",
        "gone.example",
    ]
    assert all(line.startswith(f"lethe {command}: warning: ") for line in warned)
    assert len(started) == 1


def test_a_secret_that_lacks_is_told_before_anything_starts(
    lethe: Lethe, started: list[dict[str, Any]]
) -> None:
    result = lethe("worker")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "lethe worker: secret file .lethe/secrets/ads/linkedin-token: is missing"
    )
    assert not started
    assert lethe("worker", "--only", "route").exit_code == 3, "which sends nothing"


def test_parts_that_need_a_policy_say_so(
    lethe: Lethe, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LETHE_POLICY")
    result = lethe("worker", "--only", "settle", "--only", "load", "--only", "deliver")
    assert result.exit_code == 1
    assert "deliver, settle need it" in result.stderr
    assert not started
    assert lethe("worker").exit_code == 3, "it has other parts"


def test_a_ledger_that_cannot_be_opened_is_one_message(
    lethe: Lethe, started: list[dict[str, Any]]
) -> None:
    Path(".lethe").mkdir()
    Path(".lethe/ledger.db").write_bytes(b"this is no database" * 100)
    result = lethe("collect")
    assert (result.exit_code, result.stderr) == (1, "lethe collect: the ledger: SQLITE_NOTADB\n")
    assert not started


@pytest.mark.usefixtures("ledger")
def test_a_port_that_is_taken_is_one_message(lethe: Lethe, monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(*_: Any, **__: Any) -> None:
        await asyncio.sleep(0)
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(server, "serve", serve)
    result = lethe("collect")
    assert result.exit_code == 1
    assert result.stderr == "lethe collect: [Errno 98] Address already in use\n"
