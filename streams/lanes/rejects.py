"""Refused messages as dead letters: where they lie and why, never what they hold."""

from privacy.outcome import Reject
from schemas.codec import encode
from streams.lanes.source import Source
from streams.version import VERSION


def dead_letter(source: Source, reject: Reject, processor: str, now: int) -> bytes:
    """Return the framed ``dead_letter`` of a refused message. ``now`` in milliseconds."""
    topic, partition, offset = source.topic(), source.partition(), source.offset()
    return encode(
        "dead_letter",
        {
            "id": f"{topic}:{partition}:{offset}",
            "at": now,
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "processor": processor,
            "version": VERSION,
            "step": reject.step,
            "reason": reject.reason.value,
            "fields": list(reject.fields),
        },
    )
