"""The SDK for the mail system: read the letters to be sent to people who asked (S17 to S24).

    with LetterReader(
        "kafka.example:9092", "customer-care", keys_url="https://keys.example", token=token,
        group="mail",
    ) as reader:
        for letter in reader:
            send_mail(letter.to, letter.subject, letter.text)

A letter may come twice: ``letter_id`` is then the same. Its key lives for some days after the last
letter of its request; then nobody can read it any more. Needs the base install alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lethe.sealed_reader import ReadingRefusedError, SealedReader, opened, passed_over
from schemas.codec import WireError, decode


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to be sent. ``link`` is in the text as well: a path, if the policy has no ``url``.

    Address, subject, text and link are in no ``repr``.
    """

    letter_id: str
    request_id: str
    kind: str
    language: str
    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    link: str = field(repr=False)


class LettersRefusedError(ReadingRefusedError):
    """Raised when the broker has no letters for us; the message says what helps."""


class LetterReader(SealedReader[Letter]):
    """Reads ``letters`` for the department that answers requests. For one thread.

    ``bootstrap`` is ``host:port``, several with commas; ``prefix`` is what the pipeline's settings
    put before each topic. ``keys_url`` and ``token`` are the key server's and the department's.
    ``group``: go on where that group has come to, each letter once at least, and share the work
    with its other readers; None: from the beginning. ``kafka_options`` go to kafka-python's
    consumer (``security_protocol``, ``sasl_mechanism``, ...).

    A letter whose key is gone is passed over: it is too late to send it. Raise ValueError for a
    ``keys_url`` without TLS, except on this machine, LettersRefusedError, and KafkaError when no
    broker answers.
    """

    topic = "letters"
    groups = "letters"
    refused = LettersRefusedError

    def _read(self, messages: Sequence[Any]) -> list[Letter]:
        records = [each for each in map(_record, messages) if each is not None]
        keys = self._keys.of(each["request_id"] for each in records)
        letters = (
            _opened(each, keys[each["request_id"]])
            for each in records
            if each["request_id"] in keys
        )
        return [each for each in letters if each is not None]


def _record(message: Any) -> dict[str, Any] | None:
    try:
        return decode("letter", message.value or b"")
    except WireError as error:
        passed_over(message, error.fault.value)
        return None


def _opened(record: Mapping[str, Any], key: bytes) -> Letter | None:
    sealed = opened(record, key, "request_id")
    if sealed is None:
        return None
    return Letter(
        record["letter_id"],
        record["request_id"],
        record["kind"],
        record["language"],
        to=sealed["to"],
        subject=sealed["subject"],
        text=sealed["text"],
        link=sealed.get("link", ""),
    )
