"""Passwords of Kafka: from files alone, into every client, and nowhere else."""

import ast
import re
from pathlib import Path

import pytest

from streams.kafka_login import KEY_PASSWORD, PASSWORD, options, python_options
from streams.settings import Settings, SettingsError, load

ROOT = Path(__file__).parents[2]
LOGIN = {
    "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "worker",
    "ssl.ca.location": "/etc/ca.pem", "linger.ms": "7",
}  # fmt: skip
CERTIFICATE = {
    "security.protocol": "SSL", "ssl.certificate.location": "/etc/worker.pem",
    "ssl.key.location": "/etc/worker.key",
}  # fmt: skip


def settings(folder: Path, given: dict[str, str]) -> Settings:
    return load(engines=False, secrets_dir=folder, kafka={"options": given})


def test_the_password_comes_from_its_file_to_each_kind_of_client(tmp_path: Path) -> None:
    (tmp_path / PASSWORD).write_text("in-clear\n")
    made = settings(tmp_path, LOGIN)
    assert options(made) == {**LOGIN, "sasl.password": "in-clear"}
    assert python_options(made) == {
        "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "worker", "sasl_plain_password": "in-clear",
        "ssl_cafile": "/etc/ca.pem",
    }  # fmt: skip


def test_the_password_of_a_key_is_a_file_too_and_asked_of_nobody(tmp_path: Path) -> None:
    made = settings(tmp_path, CERTIFICATE)
    assert options(made)["ssl.key.password"] == ""
    (tmp_path / KEY_PASSWORD).write_text("in-clear\n")
    assert options(made)["ssl.key.password"] == "in-clear"
    assert python_options(made)["ssl_password"] == "in-clear"


def test_a_new_password_counts_from_the_next_client(tmp_path: Path) -> None:
    made = settings(tmp_path, LOGIN)
    for password in ("old", "new"):
        (tmp_path / PASSWORD).write_text(password)
        assert options(made)["sasl.password"] == password


def test_a_user_without_a_password_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"sasl\.username needs .* {tmp_path}/{PASSWORD}"):
        options(settings(tmp_path, LOGIN))


def test_without_a_login_no_file_is_needed_and_none_is_told(tmp_path: Path) -> None:
    (tmp_path / PASSWORD).write_text("in-clear")
    assert options(settings(tmp_path, {"linger.ms": "7"})) == {"linger.ms": "7"}


def test_the_environment_of_a_process_has_no_password(tmp_path: Path) -> None:
    (tmp_path / PASSWORD).write_text("in-clear")
    made = settings(tmp_path, LOGIN)
    options(made)
    assert "in-clear" not in str(made.environment())
    assert "in-clear" not in repr(made)


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password",
        "enable.ssl.certificate.verification", "ssl.endpoint.identification.algorithm",
    ],
)  # fmt: skip
def test_secrets_and_what_would_trust_anybody_are_refused_among_the_options(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(SettingsError, match=rf"^kafka\.options: .*{re.escape(name)}") as refused:
        settings(tmp_path, {**LOGIN, name: "in-clear"})
    assert "in-clear" not in str(refused.value)


def test_every_client_of_ours_takes_its_options_from_there() -> None:
    """One that took them from the settings would come without a password."""
    taken = {
        str(file.relative_to(ROOT))
        for part in ("lethe", "streams", "bench")
        for file in (ROOT / part).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr == "options"
        and ast.unparse(node.value).rpartition(".")[2] == "kafka"
    }
    assert taken == {"streams/kafka_login.py"}
