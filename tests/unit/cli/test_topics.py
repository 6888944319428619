from typing import Any

import pytest


@pytest.mark.parametrize(
    ("topic", "kept"),
    [("tracking-events-raw", "0.25 h"), ("consent-state", "the latest of each key")],
)
def test_the_list_says_how_long_a_topic_keeps_what_it_holds(
    lethe: Any, topic: str, kept: str
) -> None:
    listed = lethe("topics")
    assert listed.exit_code == 0
    (line,) = (line for line in listed.output.splitlines() if f" {topic} " in line)
    assert f" {kept} " in line
