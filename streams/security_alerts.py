"""The topic of alerts of attacks, read from its beginning (S8)."""

from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from schemas.codec import WireError, decode
from sinks.kafka import consumer, partitions
from streams import kafka_login
from streams.settings import Settings

ALERTS = "security-alerts"
GROUP = "blocked"  # nothing is committed in it
ANSWER_SECONDS = 10.0


def open_alerts(settings: Settings) -> Consumer:
    """Return what reads all alerts that are kept. Raise KafkaException."""
    kafka, topic = settings.kafka, settings.topic(ALERTS)
    source = consumer(kafka.bootstrap, kafka.prefix + GROUP, kafka_login.options(settings))
    try:
        places = [
            TopicPartition(topic, each, OFFSET_BEGINNING)
            for each in partitions(source, topic, ANSWER_SECONDS)
        ]
    except KafkaException:
        source.close()
        raise
    source.assign(places)
    return source


def all_read(source: Consumer) -> bool:
    """Tell whether nothing lies behind what was read. Raise KafkaException: nobody says."""
    for place in source.position(source.assignment()):
        low, high = source.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
        if max(place.offset, low) < high:
            return False
    return True


def read_alert(value: bytes | None) -> dict[str, Any] | None:
    """Return an alert, its times in milliseconds since 1970; None: it cannot be read."""
    try:
        alert = decode("security_alert", value)
    except WireError:
        return None
    return alert | {name: round(alert[name].timestamp() * 1_000) for name in ("at", "until")}
