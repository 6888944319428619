"""Nobody comes in without TLS, a broker that is the right one, and a login that is right.

Each for the three clients that we use: librdkafka, kafka-python (the SDK), aiokafka (Faust).
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from lethe import Publisher
from lethe.publisher import PublishFailedError
from lethe.standins.server import in_loop
from streams import kafka_login
from streams.app import build_app
from streams.settings import Settings, load
from streams.shared import Shared
from tests.authority import Authority
from tests.integration.access.conftest import OTHER_PREFIX, PREFIX
from tests.integration.access.front import Front
from tests.integration.access.secured import Secured

pytestmark = pytest.mark.kafka

Refusals = Mapping[str, Mapping[str, str]]
"""By what is wrong and by client: what it says; empty where it comes in."""

USER = OTHER_PREFIX + "sdk"
PATIENCE = 30.0
VAGUE = {"_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE"}  # said of a broker that is away, too
REFUSED_AFTER = 2.0  # seconds in which a client that keeps trying has not come in


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load(engines=False, data_dir=tmp_path_factory.mktemp("transport"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority, which neither the broker nor its clients trust."""
    return Authority(tmp_path_factory.mktemp("stranger"))


def changed(settings: Settings, bootstrap: str = "", **options: str | None) -> Settings:
    """Return settings with other options, or without those that are None."""
    names = {name.replace("_", "."): value for name, value in options.items()}
    found = {**settings.kafka.options, **names}
    kept = {name: value for name, value in found.items() if value is not None}
    reach = {"options": kept, "bootstrap": bootstrap or settings.kafka.bootstrap}
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update=reach)})


def librdkafka(settings: Settings, seconds: float) -> str:
    """Return what librdkafka says why it does not come in; empty: it does."""
    said: list[str] = []
    reach = {"bootstrap.servers": settings.kafka.bootstrap, "log_level": 0}
    client = AdminClient(
        {
            **reach,
            **kafka_login.options(settings),
            "error_cb": lambda each: said.append(each.name()),
        }
    )
    end = time.monotonic() + max(2 * seconds, PATIENCE)
    while time.monotonic() < end:
        with suppress(KafkaException):
            client.list_topics(timeout=0.5)
            return ""
        client.poll(0)
        if telling := [each for each in said if each not in VAGUE]:
            return telling[0]
        if said:  # it was refused: what tells comes with that, or never
            end = min(end, time.monotonic() + 2 * seconds)
    return "nothing that tells"


def kafka_python(settings: Settings, seconds: float) -> str:
    """Return what the SDK says."""
    options: dict[str, Any] = dict(kafka_login.python_options(settings))
    options["bootstrap_timeout_ms"] = int(seconds * 1000)
    try:
        Publisher(settings.kafka.bootstrap, "shop.example", **options).close()
    except PublishFailedError as error:
        return str(error)
    return ""


def faust(settings: Settings, _: float) -> str:
    """Return what the client of Faust's app says."""
    (settings.secrets / "clickhouse-writer").write_text("none")  # is not asked here

    async def begin() -> None:
        producer = build_app(Shared(settings)).producer
        try:
            await producer.start()
        finally:
            await producer.stop()

    try:
        asyncio.run(begin())
    except KafkaConnectionError as error:
        return str(error)
    return ""


CLIENTS: Mapping[str, Callable[[Settings, float], str]] = {
    "librdkafka": librdkafka, "kafka-python": kafka_python, "faust": faust,
}  # fmt: skip


def tried(cases: Mapping[str, Settings], seconds: float = REFUSED_AFTER) -> Refusals:
    """Have each client try each case, all at once: some wait until they give up."""
    with ThreadPoolExecutor(3 * len(cases)) as pool:
        begun = {
            what: {name: pool.submit(client, case, seconds) for name, client in CLIENTS.items()}
            for what, case in cases.items()
        }
        return {
            what: {name: each.result() for name, each in clients.items()}
            for what, clients in begun.items()
        }


def came_in(found: Refusals) -> list[str]:
    return [f"{what}: {name}" for what, each in found.items() for name in each if not each[name]]


def test_who_has_the_right_login_comes_in(secured: Secured, given: Settings) -> None:
    found = tried(
        {
            "password": secured.by_password(given, USER),
            "certificate": secured.by_certificate(given, USER),
            "key with a password": secured.by_certificate(given, USER + "2", password="in-clear"),
        },
        PATIENCE,
    )
    assert set(map(str, (say for each in found.values() for say in each.values()))) == {""}


def test_whoever_does_not_show_who_they_are_over_tls_is_refused(
    secured: Secured, given: Settings, stranger: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    by_password = secured.by_password(given, USER)
    certified = secured.by_certificate(given, USER)
    no_login = {"security_protocol": None, "sasl_mechanism": None, "sasl_username": None}
    no_certificate = {"ssl_certificate_location": None, "ssl_key_location": None}
    found = tried(
        {
            "plaintext": changed(by_password, **no_login),
            "a password without TLS": changed(by_password, security_protocol="SASL_PLAINTEXT"),
            "TLS without a login": changed(by_password, **no_login | {"security_protocol": "SSL"}),
            "an unknown user": secured.by_password(given, USER + "-unknown"),
            "a wrong password": secured.by_password(given, PREFIX + "sdk", "guessed"),
            "plaintext for certificates": changed(certified, security_protocol="PLAINTEXT"),
            "no certificate": changed(certified, **no_certificate),
            "an expired certificate": secured.by_certificate(given, USER, days=-1),
            "another authority's": secured.by_certificate(given, USER, stranger),
            "a name that is nobody's": secured.by_certificate(given, "sdk, O=nobody"),
        }
    )
    assert came_in(found) == []
    for wrong in ("an unknown user", "a wrong password"):
        assert found[wrong]["librdkafka"] == "_AUTHENTICATION"
    assert "SaslAuthenticationFailed" in caplog.text


def test_a_broker_that_is_not_the_right_one_is_refused_and_told_nothing(
    secured: Secured, given: Settings, stranger: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """By who certifies it, by its name, by its date: no client begins to log in there."""
    trusting, right = secured.authority.trusting(), secured.by_password(given, USER)
    foreign = secured.trusted.with_name("foreign.pem")
    foreign.write_text(stranger.certificate)
    good, expired = (
        Front(secured.authority.issue("front", "127.0.0.1", days=days), trusting, secured.port)
        for days in (1, -1)
    )
    elsewhere = Front(secured.authority.issue("front", "192.0.2.1"), trusting, secured.port)
    with (
        in_loop(good.serving()) as at_good,
        in_loop(expired.serving()) as at_expired,
        in_loop(elsewhere.serving()) as at_elsewhere,
    ):
        assert came_in(tried({"good": changed(right, at_good)}, PATIENCE)) == [
            f"good: {each}" for each in CLIENTS
        ]
        found = tried(
            {
                "wrong authority": changed(right, ssl_ca_location=str(foreign)),
                "wrong name": changed(right, f"localhost:{secured.port}"),
                "wrong address": changed(right, at_elsewhere),
                "expired": changed(right, at_expired),
            }
        )
    assert came_in(found) == []
    assert {each["librdkafka"] for each in found.values()} == {"_SSL"}
    assert good.told > 0
    assert expired.told == elsewhere.told == 0
    for reason in ("certificate has expired", "Hostname mismatch", "IP address mismatch"):
        assert reason in caplog.text


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_no_tls_before_1_2_is_spoken(secured: Secured) -> None:
    for port in (secured.port, secured.port_of_certificates):
        assert spoken(secured, port, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        assert spoken(secured, port, ssl.TLSVersion.TLSv1_1) == "TLSV1_ALERT_PROTOCOL_VERSION"


def spoken(secured: Secured, port: int, version: ssl.TLSVersion) -> str:
    """Return which version the broker speaks with who knows one alone, or its alert."""
    context = secured.authority.trusting()
    context.load_cert_chain(secured.authority.issue(USER))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version, context.maximum_version = version, version
    reached = socket.create_connection(("127.0.0.1", port), PATIENCE)
    try:
        with context.wrap_socket(reached, server_hostname="127.0.0.1") as said:
            return str(said.version())
    except ssl.SSLError as error:
        return error.reason
