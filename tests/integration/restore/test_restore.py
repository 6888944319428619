"""A ledger that is lost and restored from a backup brings nobody back (S3, S5, S15, S20, S21)."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from privacy.consent import ERASURE, RESTRICTION, Decision
from sinks.ledger import deliveries, holds, reached, suppressed, unsubscribed
from tests.aside import contents
from tests.integration.company import SITE
from tests.integration.restore.loser import Loser
from tests.waiting import until

# Once, on the broker whose groups are moved in earnest; refusals are tried on both.
pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        os.environ.get("LETHE_TEST_BROKER", "embedded") == "embedded", reason="wants Apache Kafka"
    ),
]


@pytest.fixture(scope="module")
def purpose(loser: Loser) -> str:
    return str(loser.policy.providers["meta"].purpose)


@dataclass(slots=True)
class Story:
    """What happened before the loss, and what restoring said and left behind."""

    cases: dict[str, str] = field(default_factory=dict)
    keys: list[bytes] = field(default_factory=list)
    certificate: Any = None
    link: str = ""
    waits: str = ""
    said: str = ""
    files: dict[Path, bytes] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(loser: Loser, purpose: str, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Back up, go on, lose the ledger, restore it and start again."""
    told, file = Story(), tmp_path_factory.mktemp("backup") / "ledger.tar"
    mail = f"{loser.marks[0]}erased@example.com"
    for name, service, fields in (
        ("over", "sample-request", {}),
        ("stays", "sample-request", {}),
        ("erased", "sample-request", {"email": mail}),
        ("subscribed", "newsletter", {}),
        ("under way", "sample-request", {}),
    ):
        told.cases[name] = loser.submit(service, fields=fields)
    loser.choose("withdrew", "given", purpose)
    loser.choose("agrees", "given", purpose)
    asked = loser.ask_by_mail("access", f"{loser.marks[0]}reads@example.com")
    link = loser.letter(asked, "answer").link
    for each in told.cases.values():
        until(lambda case_id=each: _case(loser, case_id), "a case")

    assert "ledger" in loser.lethe("backup", str(file))
    assert file.stat().st_mode & 0o777 == 0o600

    told.keys = [key for name in ("over", "erased") for key in loser.keys_of(told.cases[name])]
    assert len(told.keys) >= 4
    loser.report("delivered", "sample-request", case=told.cases["over"])
    loser.report("unsubscribed", "newsletter", case=told.cases["subscribed"])
    loser.choose("withdrew", "withdrawn", purpose)
    epoch = loser.choose("came-later", "given", purpose)
    loser.route("came-later", epoch, delivered=True)
    told.waits = loser.route("came-later", epoch, delivered=False)
    loser.ask_by_mail("erasure", mail, "--ground", "no_longer_needed")
    loser.ask("erasure", "--cookie", "is-forgotten", "--ground", "consent_withdrawn")
    loser.ask("restriction", "--cookie", "is-held", "--ground", "accuracy_contested")
    assert loser.fetch(link) == 200
    told.link = link
    told.certificate = loser.certified(told.cases["over"])
    for name in ("erased", "subscribed"):
        loser.certified(told.cases[name])
    for visitor, right in (("is-forgotten", ERASURE), ("is-held", RESTRICTION)):
        until(lambda v=visitor, r=right: _has(loser, v, r), right)
    told.cases["came-later"] = loser.submit("sample-request")
    until(lambda: _case(loser, told.cases["came-later"]), "a case")

    loser.lethe("restore", str(file), code=1)  # while somebody works
    loser.stop_all()
    loser.report("delivered", "sample-request", case=told.cases["under way"])
    loser.lose()
    erasures = loser.settings.data_dir / "erasures"
    erasures.rename(erasures.with_name("elsewhere"))
    loser.lethe("restore", str(file), code=1)
    assert not loser.file.exists(), "nothing is restored without the journal"
    erasures.with_name("elsewhere").rename(erasures)
    told.said = loser.lethe("restore", str(file))
    loser.reopen()
    told.files = _files(loser.folder / "data")
    loser.run()
    return told


def test_what_was_deleted_stays_so_and_is_certified_once(loser: Loser, story: Story) -> None:
    for name in ("over", "erased", "subscribed"):
        assert loser.certified(story.cases[name])
    assert loser.certified(story.cases["over"]) == story.certificate
    assert not any(key in content for key in story.keys for content in story.files.values())
    assert not any(key in each for key in story.keys for each in _files(loser.file.parent).values())


def test_who_was_erased_or_unsubscribed_stays_so(loser: Loser, story: Story) -> None:
    with loser.ledger.reading() as connection:
        assert unsubscribed.count(connection)["newsletter"] == 1
        rows = connection.exec_driver_sql("SELECT subject FROM suppressed").all()
        assert suppressed.of(connection, [each.subject for each in rows])
    del story


def test_withdrawals_restrictions_and_erasures_of_visitors_are_in_force(
    loser: Loser, story: Story, purpose: str
) -> None:
    standing = {who: loser.standing(who).standings for who in ("withdrew", "agrees", "came-later")}
    assert standing["withdrew"][purpose].decision == Decision.WITHDRAWN
    assert standing["agrees"][purpose].decision == Decision.GIVEN
    assert standing["came-later"][purpose].decision == Decision.GIVEN
    states = loser.messages("consent-state", "consent_state")
    last = {each.key: each.record for each in states}
    assert last[f"{SITE}|withdrew"]["standings"][purpose]["decision"] == "withdrawn"
    assert _has(loser, "is-held", RESTRICTION)
    assert _has(loser, "is-forgotten", ERASURE)
    with loser.ledger.reading() as connection:
        assert holds.of_visitors(connection, SITE, ["is-held"])
    assert "1 erasures of visitors are begun again" in story.said


def test_an_answer_that_was_fetched_is_not_there_again(loser: Loser, story: Story) -> None:
    assert loser.fetch(story.link) == 410


def test_what_came_since_and_is_on_topics_is_there_again(loser: Loser, story: Story) -> None:
    assert _case(loser, story.cases["stays"]) == "open"
    loser.certified(story.cases["under way"])


def test_a_case_whose_key_is_lost_is_told_and_ended(loser: Loser, story: Story) -> None:
    assert story.cases["came-later"] in story.said
    assert loser.certified(story.cases["came-later"])["cause"] == "lost"


def test_what_providers_may_have_can_be_undone_and_is_not_sent_twice(
    loser: Loser, story: Story
) -> None:
    with loser.ledger.reading() as connection:
        assert reached.of_visitor(connection, SITE, "came-later")
        states = deliveries.states(connection, "meta", [story.waits])
    assert states == {story.waits: deliveries.State.CLAIMED}


def test_a_backup_does_not_go_over_a_ledger_that_is_there(
    loser: Loser, story: Story, tmp_path: Path
) -> None:
    del story
    loser.lethe("backup", str(tmp_path / "new.tar"))
    loser.stop_all()
    before = loser.file.stat().st_ino
    try:
        loser.lethe("restore", str(tmp_path / "new.tar"), code=1)
        assert loser.file.stat().st_ino == before
    finally:
        loser.run()  # other tests may come after this one


def _case(loser: Loser, case_id: str) -> str | None:
    with loser.ledger.reading() as connection:
        found = connection.exec_driver_sql(
            "SELECT state FROM cases WHERE case_id = ?", (case_id,)
        ).first()
    return None if found is None else str(found.state)


def _has(loser: Loser, visitor: str, right: str) -> bool:
    standing = loser.standing(visitor).standings.get(right)
    return standing is not None and standing.decision == Decision.GIVEN


def _files(folder: Path) -> dict[Path, bytes]:
    return contents(Path(place, name) for place, _, names in os.walk(folder) for name in names)
