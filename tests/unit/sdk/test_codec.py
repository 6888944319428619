"""What the worker sends to readers outside is compressed so that the base install can read it."""

from typing import Any

import pytest

from streams import shared
from streams.settings import load
from streams.shared import Shared


@pytest.mark.parametrize(
    ("writer", "codec"),
    [("cases", "gzip"), ("delete", "gzip"), ("overdue", "gzip"), ("anonymise", None)],
)
def test_the_worker_compresses_as_the_catalogue_says_of_the_topics(
    writer: str, codec: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(shared, "BatchProducer", lambda _, options: made.append(options))
    Shared(load(engines=False, policy=None)).producer(writer)
    assert made[0].get("compression.type") == codec
