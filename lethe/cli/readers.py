"""What the commands that read as a department share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from kafka.errors import KafkaError

from lethe.case_keys import KeysUnavailableError
from lethe.sealed_reader import ReadingRefusedError, SealedReader
from streams import kafka_login
from streams.keys import tokens
from streams.settings import Settings, SettingsError

Reader = TypeVar("Reader", bound=SealedReader[Any])


@contextmanager
def reading(
    kind: type[Reader], settings: Settings, department: str, token_file: Path | None
) -> Iterator[Reader]:
    """Connect a department's reader, in no group, to broker and key server of the settings.

    Raise SettingsError that says what helps, and OSError when there is no token.
    """
    file = token_file or settings.secrets / tokens.FOLDER / department
    options: dict[str, Any] = dict(kafka_login.python_options(settings))
    token = file.read_text().strip()
    try:
        with kind(
            settings.kafka.bootstrap,
            department,
            keys_url=f"http://{settings.keys.host}:{settings.keys.port}",
            token=token,
            prefix=settings.kafka.prefix,
            **options,
        ) as reader:
            yield reader
    except KeysUnavailableError as error:
        raise SettingsError(f"{error}; see lethe keys serve") from None
    except ReadingRefusedError as error:
        raise SettingsError(str(error)) from None
    except KafkaError as error:
        raise SettingsError(
            f"no broker answers at {settings.kafka.bootstrap}: {type(error).__name__}"
        ) from None
