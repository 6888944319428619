"""What the bulk entrance lets in, and what it says of the rest."""

import gzip
import io
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from lethe.intake import BATCH, WINDOW, Candidate, Intake, in_batches, opened
from lethe.jsonl import candidates
from lethe.logs.ingest import log_name
from lethe.logs.place import Place
from lethe.logs.source import Source, unzipped
from lethe.tally import SHOWN, Tally
from privacy.contract import Problem
from privacy.pseudonym import Salt, visitor_hash
from schemas.codec import decode
from sinks.kafka import NotStoredError
from sinks.publish import MemoryPublisher, Message, Stored
from streams.settings import Settings, SettingsError
from tests.waiting import until

Line = Callable[..., bytes]


def stored(publisher: MemoryPublisher) -> list[dict[str, object]]:
    return [decode("tracking_event", message.value) for _, message in publisher.stored]


def test_address_is_hashed_in_full_and_published_short(
    intake: Intake, publisher: MemoryPublisher, log_line: Line
) -> None:
    source = Source(io.BytesIO(log_line(6)), "shop.example", "access", Place())
    intake.take_all(source.candidates(), lambda: None)
    (record,) = stored(publisher)
    day = 20_748  # 2026-10-22
    assert record["ip"] == "192.0.2.0"
    assert record["visitor"] == visitor_hash(
        Salt(b"k" * 32), "shop.example", day, None, "Browser/1.0", "192.0.2.7"
    )
    assert b"192.0.2.7" not in publisher.stored[0][1].value
    assert publisher.stored[0][1].key is None


def test_strange_user_agent_does_not_cost_the_request(
    intake: Intake, publisher: MemoryPublisher, tally: Tally, log_line: Line
) -> None:
    odd = log_line(1).replace(b"Browser/1.0", rb"Odd\tone\x00")
    long = log_line(2).replace(b"Browser", b"B" * 3_000)
    source = Source(io.BytesIO(odd + long), "shop.example", "access", Place())
    intake.take_all(source.candidates(), lambda: None)
    assert [record["user_agent"] for record in stored(publisher)] == [None, "B" * 1024]
    assert tally.refused == 0


def test_future_and_overlong_are_refused_and_the_rest_goes_on(
    intake: Intake, tally: Tally, log_line: Line
) -> None:
    content = log_line(1, hour=23) + log_line(2).replace(b"/page", b"/" + b"p" * 3_000)
    source = Source(io.BytesIO(content + log_line(3)), "shop.example", "access", Place())
    intake.take_all(source.candidates(), lambda: None)
    assert (tally.published, tally.refused) == (1, 2)
    assert {problem.field for problem in tally.rules} == {"occurred_at", "page"}


def test_place_is_saved_only_after_all_before_it_is_stored(
    publisher: MemoryPublisher, intake: Intake
) -> None:
    told: list[int] = []
    page = {"type": "page_view", "page": "/"}
    good = Candidate(1, page, "00000000-0000-4000-8000-000000000001")
    intake.take([good], lambda: told.append(1))
    publisher.available = False
    with pytest.raises(NotStoredError):
        intake.take([good], lambda: told.append(2))
    publisher.available = True
    with pytest.raises(NotStoredError):
        intake.take([good], lambda: told.append(3))
    assert told == [1], "the second batch is lost, so nothing after it may count as read"


def test_batch_of_refused_lines_alone_moves_the_place(intake: Intake) -> None:
    told: list[int] = []
    intake.take([Candidate(1, Problem("line", "is wrong"))], lambda: told.append(1))
    intake.settle()
    assert told == [1]


def test_what_came_before_the_damage_of_a_file_is_published(
    intake: Intake, tally: Tally, log_line: Line, tmp_path: Path
) -> None:
    packed = gzip.compress(b"".join(map(log_line, range(2_500))))
    file = tmp_path / "access.log.gz"
    file.write_bytes(packed[: len(packed) // 2])
    with file.open("rb") as raw, pytest.raises(EOFError):
        intake.take_all(
            Source(unzipped(raw), "shop.example", "access", Place()).candidates(), lambda: None
        )
    intake.settle()
    assert 1_000 < tally.published < 2_500
    assert tally.published % BATCH


def test_batches_are_bounded() -> None:
    lines = [Candidate(number, {}) for number in range(2 * BATCH + 1)]
    assert [len(batch) for batch in in_batches(lines)] == [BATCH, BATCH, 1]


def test_unknown_site_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    with (
        pytest.raises(SettingsError, match=r"there is no blog\.example"),
        opened(settings, "blog.example", Tally(), endless=False),
    ):
        pass


def test_report_names_lines_fields_and_rules_and_no_content(intake: Intake) -> None:
    report = io.StringIO()
    tally = Tally(report)
    intake._tally = tally
    lines = b'{"type": "page_view", "user_id": "jane"}\n' * (SHOWN + 5)
    intake.take_all(candidates(io.BytesIO(lines), lambda: "id"), lambda: None)
    assert len(report.getvalue().splitlines()) == SHOWN + 5
    assert len(tally._first) == SHOWN
    assert report.getvalue().startswith("line 1: user_id: is refused")
    assert "jane" not in report.getvalue()


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"no json", "line"),
        (b"\xff", "line"),
        (b'{"type": "page_view", "type": "click"}', "line"),
        (b'{"type": NaN}', "line"),
        (b"[" * 20_000, "line"),
        (b'"text"', "events"),
        (b'[{"type": "click"}, {"type": "click"}]', "line"),
        (b"{" + b" " * 70_000 + b"}", "line"),
        (b"{}", "type"),
        (b'{"type": "login"}', "type"),
    ],
)
def test_lines_that_are_no_event_are_refused(
    intake: Intake, tally: Tally, line: bytes, field: str
) -> None:
    good = b'{"type": "page_view", "ip": "192.0.2.7"}\n'
    ids = iter(f"00000000-0000-4000-8000-00000000000{n}" for n in range(9))
    intake.take_all(candidates(io.BytesIO(line + b"\n\n" + good), ids.__next__), lambda: None)
    assert (tally.published, tally.refused) == (1, 1)
    assert [problem.field for problem in tally.rules] == [field]


def test_events_own_id_wins(intake: Intake, publisher: MemoryPublisher) -> None:
    own = "0d1c8f5e-6a0b-4c5b-9a52-7f3a1e0c9b64"
    line = f'{{"type": "click", "event_id": "{own}"}}\n'.encode()
    intake.take_all(candidates(io.BytesIO(line), lambda: "other"), lambda: None)
    assert stored(publisher)[0]["event_id"] == own


def test_only_so_many_batches_wait_for_the_broker(intake: Intake) -> None:
    """Else a slow broker would fill the memory with a log."""
    futures: list[Stored] = []

    class Slow(MemoryPublisher):
        def send(self, topic: str, messages: Sequence[Message]) -> Stored:
            del topic, messages
            futures.append(Future())
            return futures[-1]

    intake._publisher = Slow()
    junk = [Candidate(1, Problem("line", "is junk"))] * ((WINDOW + 2) * BATCH)
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(intake.take_all, junk, lambda: None)
        try:
            until(lambda: len(futures) > WINDOW, "as many as may wait")
            assert not wait([taken], timeout=0.3).done
            assert len(futures) == WINDOW + 1
        finally:
            while not taken.done():
                for future in futures:
                    if not future.done():
                        future.set_result(None)
        taken.result()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("access.log", "access"),
        ("access.log.1", "access"),
        ("access.log.2.gz", "access"),
        ("access.log-20261123", "access"),
        ("access.log-20261123.gz", "access"),
        ("access-2015-05.log", "access-2015-05"),
        ("shop.example.access.log", "shop.example.access"),
        ("access_log", "access_log"),
        ("access_log.1", "access_log"),
        ("1", "1"),
    ],
)
def test_rotated_logs_keep_their_name(file: str, name: str) -> None:
    assert log_name(file) == name
