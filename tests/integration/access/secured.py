"""An Apache Kafka that is reached over TLS alone, and where each has a login of their own."""

import secrets
from collections.abc import Iterable
from pathlib import Path

from lethe.local import brokers, packages
from lethe.local.process import choose_ports
from streams.kafka_login import KEY_PASSWORD, PASSWORD
from streams.settings import Settings
from tests.authority import Authority


class Secured:
    """The broker. Whoever has a password has it in a folder of secrets of their own."""

    def __init__(self, folder: Path, users: Iterable[str]) -> None:
        self._folder = folder
        self.authority = Authority(folder)
        self.trusted = folder / "authority.pem"
        self.trusted.write_text(self.authority.certificate)
        self.passwords = {each: secrets.token_hex(16) for each in (brokers.SUPER_USER, *users)}
        self.port, self.port_of_certificates = choose_ports(2)
        access = brokers.Access(
            self.passwords,
            self.authority.issue(brokers.NODE, "127.0.0.1"),
            self.trusted,
            self.port_of_certificates,
        )
        self.process = brokers.kafka(
            packages.kafka_jars(), folder / "kafka", folder / "broker.log", self.port, access
        )

    def by_password(self, given: Settings, user: str, password: str | None = None) -> Settings:
        """Return settings with a user's login, by its password or another."""
        own = self._folder / "logins" / user
        options = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "ssl.ca.location": str(self.trusted),
        }
        secret = password or self.passwords.get(user, "guessed")
        return self._settings(given, own, PASSWORD, secret, self.port, options)

    def by_certificate(
        self,
        given: Settings,
        user: str,
        authority: Authority | None = None,
        *,
        days: int = 1,
        password: str | None = None,
    ) -> Settings:
        """Return settings with a user's certificate, whose key may have a password."""
        file = str((authority or self.authority).issue(user, days=days, password=password))
        options = {
            "security.protocol": "SSL",
            "ssl.certificate.location": file,
            "ssl.key.location": file,
            "ssl.ca.location": str(self.trusted),
        }
        own = self._folder / "certified" / user
        secret = password or ""
        return self._settings(given, own, KEY_PASSWORD, secret, self.port_of_certificates, options)

    @staticmethod
    def _settings(
        given: Settings, own: Path, name: str, secret: str, port: int, options: dict[str, str]
    ) -> Settings:
        own.mkdir(parents=True, exist_ok=True, mode=0o700)
        (own / name).touch(mode=0o600)
        (own / name).write_text(secret)
        reach = {"bootstrap": f"127.0.0.1:{port}", "options": options}
        kafka = given.kafka.model_copy(update=reach)
        return given.model_copy(update={"kafka": kafka, "secrets_dir": own})
