"""How clients of Kafka say who they are: the settings' options, and passwords from files.

The clients are librdkafka's, whose names the settings use, kafka-python's (the SDK) and Faust's.
"""

from streams.settings import Settings, SettingsError

# Options that are secrets, the files below <secrets> that hold them, and what asks for them.
PASSWORD = "kafka-password"  # noqa: S105 - a file's name
KEY_PASSWORD = "kafka-key-password"  # noqa: S105 - likewise
_PYTHON = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_plain_username",
    "sasl.password": "sasl_plain_password",
    "ssl.ca.location": "ssl_cafile",
    "ssl.certificate.location": "ssl_certfile",
    "ssl.key.location": "ssl_keyfile",
    "ssl.key.password": "ssl_password",
}


def options(settings: Settings) -> dict[str, str]:
    """Return what a librdkafka client is given beside the broker's address.

    Read anew each time, so that a new password counts from a process's next start. Raise
    SettingsError where a user name is without its password.
    """
    found = dict(settings.kafka.options)
    if "sasl.username" in found:
        file = settings.secrets / PASSWORD
        if not file.is_file():
            raise SettingsError(f"kafka.options: sasl.username needs its password in {file}")
        found["sasl.password"] = file.read_text().strip()
    if "ssl.key.location" in found:
        file = settings.secrets / KEY_PASSWORD
        # Empty for a key that needs none: without one, Python's clients would ask the terminal.
        found["ssl.key.password"] = file.read_text().strip() if file.is_file() else ""
    return found


def python_options(settings: Settings) -> dict[str, str]:
    """Return how kafka-python is told the same. Librdkafka's tuning is its own."""
    return {_PYTHON[name]: value for name, value in options(settings).items() if name in _PYTHON}
