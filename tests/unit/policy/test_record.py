"""Each version of the policy is kept, and a change needs a new one."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import pytest

from sinks.ledger import policies
from sinks.ledger.ledger import Ledger
from sinks.ledger.policies import Recorded
from streams import run
from streams.policy import PolicyError, record
from streams.settings import load
from streams.shared import Shared


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


def kept(ledger: Ledger) -> list[Recorded]:
    with ledger.reading() as connection:
        return policies.history(connection)


def test_a_new_version_is_kept_beside_the_old(ledger: Ledger, text: str) -> None:
    changed = text.replace('version = "1"', 'version = "2"')
    record(ledger, text, "p.toml", 100)
    record(ledger, changed, "p.toml", 200)
    assert [(each.version, each.recorded_at, each.text) for each in kept(ledger)] == [
        ("1", 100, text),
        ("2", 200, changed),
    ]


def test_a_change_under_the_same_version_is_refused_with_line_and_remedy(
    ledger: Ledger, text: str
) -> None:
    record(ledger, text, "p.toml", 100)
    with pytest.raises(PolicyError) as caught:
        record(ledger, "\n" + text.replace("120000000000001", "3"), "p.toml", 200)
    assert caught.value.problems == [
        "p.toml:2: version: is that of another policy, which was in force; write a new one"
    ]
    assert [each.text for each in kept(ledger)] == [text]


def test_comments_layout_and_an_old_version_again_are_no_change(ledger: Ledger, text: str) -> None:
    record(ledger, text, "p.toml", 100)
    record(ledger, text.replace('version = "1"', 'version = "2"'), "p.toml", 200)
    record(ledger, f"# Reviewed.\n{text}\n", "p.toml", 300)
    assert [each.recorded_at for each in kept(ledger)] == [100, 200]


def test_the_policy_that_is_recorded_is_the_one_that_runs(tmp_path: Path, text: str) -> None:
    file = tmp_path / "p.toml"
    file.write_text(text)
    shared = Shared(load(engines=False, data_dir=tmp_path, policy=file))
    file.write_text(text.replace('version = "1"', 'version = "2"'))  # an editor is quick
    shared.record_policy()
    assert shared.policy is not None
    assert [each.version for each in kept(shared.ledger)] == [shared.policy.version] == ["1"]
    shared.ledger.close()


@pytest.mark.parametrize(("part", "refused"), [("consent", True), ("load", False)])
def test_a_worker_starts_no_part_on_a_policy_that_changed_under_its_version(
    tmp_path: Path, text: str, part: str, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    file = tmp_path / "p.toml"
    file.write_text(text)
    Shared(load(engines=False, data_dir=tmp_path, policy=file)).record_policy()
    file.write_text(text.replace("120000000000001", "3"))
    monkeypatch.setattr(run, "spare_collector", lambda: None)
    monkeypatch.setattr(run.health, "serve", lambda *_: 0)
    monkeypatch.setattr(run.logging, "configure", lambda _: None)
    started: list[object] = []
    monkeypatch.setattr(run, "services", lambda *_: started.append(part) or [])
    monkeypatch.setattr(run.mode, "Worker", Mock())
    shared = Shared(load(engines=False, data_dir=tmp_path, policy=file))
    with pytest.raises(PolicyError) if refused else nullcontext():
        run.run_worker(shared, [part])
    assert started == ([] if refused else [part])
