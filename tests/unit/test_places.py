"""Who reads in a group, as a broker says that may not know yet."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from sinks.places import Places

NOT_YET = KafkaError.COORDINATOR_LOAD_IN_PROGRESS


def answered(monkeypatch: pytest.MonkeyPatch, *answers: int | list[str]) -> list[int | list[str]]:
    """Have a broker answer so, one after the other: errors, or who is in a group."""
    left = list(answers)

    class Admin:
        def __init__(self, _: Any) -> None: ...

        def describe_consumer_groups(
            self, groups: list[str], **_: Any
        ) -> dict[str, Future[SimpleNamespace]]:
            found, answer = Future[SimpleNamespace](), left.pop(0)
            if isinstance(answer, int):
                found.set_exception(KafkaException(KafkaError(answer)))
            else:
                found.set_result(SimpleNamespace(members=answer))
            return dict.fromkeys(groups, found)

    monkeypatch.setattr("sinks.places.AdminClient", Admin)
    monkeypatch.setattr("sinks.places._AGAIN_SECONDS", 0)
    return left


def manned() -> list[str]:
    return Places("127.0.0.1:9092", {}, "aside").manned(["load"])


@pytest.mark.parametrize(("members", "found"), [([], []), (["one"], ["load"])])
def test_a_broker_that_has_just_started_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, members: list[str], found: list[str]
) -> None:
    left = answered(monkeypatch, NOT_YET, NOT_YET, members)
    assert manned() == found
    assert not left


@pytest.mark.parametrize("seconds", [0, 10])
def test_what_does_not_pass_is_told(monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """And what does, when it takes too long."""
    monkeypatch.setattr("sinks.places._SECONDS", seconds)
    code = KafkaError.GROUP_AUTHORIZATION_FAILED if seconds else NOT_YET
    answered(monkeypatch, code, ["one"])
    with pytest.raises(KafkaException):
        manned()
