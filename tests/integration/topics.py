"""What tests do to topics that nobody else does."""

from collections.abc import Mapping

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)


def configure(bootstrap: str, wanted: Mapping[str, Mapping[str, object]]) -> None:
    """Configure topics anew, as with bounds of seconds."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    to = AlterConfigOpType.SET
    asked = admin.incremental_alter_configs(
        [
            ConfigResource(
                ResourceType.TOPIC,
                topic,
                incremental_configs=[
                    ConfigEntry(name, str(value), incremental_operation=to)
                    for name, value in config.items()
                ],
            )
            for topic, config in wanted.items()
        ]
    )
    for done in asked.values():
        done.result(30)
