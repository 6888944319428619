"""Each principal, on each topic, group and the rest of the broker: what the broker lets it do.

The broker is asked what it would allow, and reading, writing and deleting are tried besides. No
worker runs here: nobody is harmed by what is written.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from kafka import KafkaAdminClient
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePatternFilter,
    UserScramCredentialUpsertion,
)
from kafka.admin import ResourceType as Kind
from kafka.errors import ClusterAuthorizationFailedError

from lethe.local.brokers import SUPER_USER
from privacy.policy import Policy
from schemas.registry import topics_of
from sinks.kafka_acls import acls
from streams import kafka_login
from streams.settings import Kafka, Settings, load
from tests.integration.access import wire
from tests.integration.access.conftest import OTHER_PREFIX, PREFIX, install
from tests.integration.access.secured import Secured
from tests.integration.access.table import (
    DELETERS,
    MEMBERS,
    PRINCIPALS,
    READERS,
    WRITERS,
    of_group,
    of_topic,
)

kafka = pytest.mark.kafka
TOPIC_OPERATIONS = {
    "READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS",
}  # fmt: skip
NAMES = {each: OTHER_PREFIX + each for each in READERS}
MESSAGE = b"hello"
SECONDS = 30.0

Login = Callable[[str], Settings]
"""Settings with the login of a principal, named without the installation's prefix."""


@pytest.fixture(scope="module")
def login(secured: Secured, its_policy: Policy) -> Iterator[Login]:
    """Make an installation whose topics have one message each, and whose groups are there."""
    given = load(engines=False, kafka=Kafka(prefix=OTHER_PREFIX))
    operator = secured.by_password(given, SUPER_USER)
    install(operator, its_policy)
    assert set(wire.produce(operator, NAMES.values(), MESSAGE).values()) == {wire.STORED}
    admin = admin_of(operator)
    place = TopicPartition(OTHER_PREFIX + "notices", 0, 0)
    for group in MEMBERS:
        asked = admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(OTHER_PREFIX + group, [place])]
        )
        next(iter(asked.values())).result(SECONDS)

    def made(principal: str) -> Settings:
        prefix = "" if principal == SUPER_USER else OTHER_PREFIX
        return secured.by_password(given, prefix + principal)

    return made


def test_the_table_names_every_topic_and_every_principal(its_policy: Policy) -> None:
    assert READERS.keys() == topics_of(its_policy.departments, its_policy.holders).keys()
    named = {each.principal.removeprefix("User:") for each in acls(its_policy)}
    assert named == set(PRINCIPALS)


@kafka
def test_S2_each_topic_is_open_to_those_alone_whom_the_table_names(login: Login) -> None:  # noqa: N802
    found = {each: on_topics(login(each)) for each in PRINCIPALS}
    wrong = differences(found, of_topic, READERS)
    assert wrong == []
    assert on_topics(login(SUPER_USER)) == dict.fromkeys(READERS, TOPIC_OPERATIONS)


@kafka
def test_each_group_is_open_to_those_alone_whom_the_table_names(login: Login) -> None:
    found = {each: on_groups(login(each)) for each in PRINCIPALS}
    assert differences(found, of_group, MEMBERS) == []
    assert {"READ", "DESCRIBE", "DELETE"} <= on_groups(login(SUPER_USER))["lethe"]


@kafka
def test_nobody_may_do_anything_to_the_cluster_or_use_transactions(login: Login) -> None:
    for principal in PRINCIPALS:
        settings = login(principal)
        assert on_cluster(settings) == set(), principal
        assert transaction(settings) == "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", principal
    assert {"CREATE", "ALTER", "ALTER_CONFIGS"} <= on_cluster(login(SUPER_USER))
    assert transaction(login(SUPER_USER)) == ""


@kafka
def test_only_who_may_write_something_may_be_an_idempotent_producer(login: Login) -> None:
    writers = frozenset().union(*WRITERS.values())
    for principal in PRINCIPALS:
        expected = wire.STORED if principal in writers else wire.REFUSED_BY_CLUSTER
        assert wire.become_producer(login(principal)) == expected, principal


@kafka
def test_nobody_passes_for_a_broker_not_even_where_it_may_read(login: Login) -> None:
    for principal in PRINCIPALS:
        found = wire.fetch(login(principal), NAMES.values(), broker=1)
        assert set(found.values()) == {(wire.REFUSED, b"")}, principal
    trusted = wire.fetch(login(SUPER_USER), NAMES.values(), broker=1)
    assert wire.REFUSED not in {code for code, _ in trusted.values()}


@kafka
def test_S2_what_is_written_is_stored_for_writers_and_refused_to_others(login: Login) -> None:  # noqa: N802
    for principal in PRINCIPALS:
        found = wire.produce(login(principal), NAMES.values(), MESSAGE)
        assert found == expected(principal, WRITERS), principal


@kafka
def test_S2_what_lies_on_a_topic_is_read_by_readers_and_refused_to_others(login: Login) -> None:  # noqa: N802
    for principal in PRINCIPALS:
        found = wire.fetch(login(principal), NAMES.values())
        assert {each: code for each, (code, _) in found.items()} == expected(principal, READERS)
        for code, content in found.values():
            assert (content != b"") is (code == wire.STORED)


@kafka
def test_what_lies_on_a_topic_is_deleted_by_nobody_but_who_has_read_it(login: Login) -> None:
    for principal in PRINCIPALS:
        found = wire.delete_nothing(login(principal), NAMES.values())
        assert found == expected(principal, DELETERS), principal


@kafka
def test_nobody_changes_what_is_no_message(login: Login) -> None:
    """Topics, settings and ACLs."""
    for principal in PRINCIPALS:
        found = changes(login(principal))
        wrong = {what: code for what, code in found.items() if code not in REFUSALS}
        assert wrong == {}, principal
    assert on_topics(login(SUPER_USER)).keys() == READERS.keys()


@kafka
def test_nobody_sees_who_may_do_what_or_sets_a_password(login: Login) -> None:
    """Asked by kafka-python: librdkafka takes no answer for no ACLs, and ends at no logins."""
    everywhere = ResourcePatternFilter(Kind.TOPIC, None, ACLResourcePatternType.ANY)
    every = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, everywhere)
    guessed = UserScramCredentialUpsertion(SUPER_USER, "SCRAM-SHA-512", "guessed")
    for principal in PRINCIPALS:
        settings = login(principal)
        options: dict[str, Any] = dict(kafka_login.python_options(settings))
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap, **options)
        with pytest.raises(ClusterAuthorizationFailedError):
            admin.describe_acls(every)
        with pytest.raises(ClusterAuthorizationFailedError):
            admin.describe_user_scram_credentials([SUPER_USER])
        refused = admin.alter_user_scram_credentials([guessed])[SUPER_USER]
        assert "needs ALTER permission" in refused, principal
        admin.close()
    assert on_cluster(login(SUPER_USER)), "its password is as it was"


@kafka
def test_two_installations_on_one_broker_are_strangers(secured: Secured, login: Login) -> None:
    given = login("worker")
    for principal in PRINCIPALS:
        stranger = secured.by_password(given, PREFIX + principal)
        assert set(on_topics(stranger).values()) == {frozenset()}, principal
        assert set(on_groups(stranger).values()) == {frozenset()}, principal


@kafka
def test_a_certificate_is_as_good_as_a_password_and_no_better(
    secured: Secured, login: Login
) -> None:
    given = login("worker")
    found = {
        each: on_topics(secured.by_certificate(given, OTHER_PREFIX + each)) for each in PRINCIPALS
    }
    assert differences(found, of_topic, READERS) == []
    unknown = secured.by_certificate(given, OTHER_PREFIX + "nobody")
    assert set(on_topics(unknown).values()) == {frozenset()}


def differences(
    found: Mapping[str, Mapping[str, frozenset[str]]],
    table: Callable[[str, str], frozenset[str]],
    names: Mapping[str, Any],
) -> list[str]:
    """Return the cells that are not as the table says: of all there are, and not of some."""
    return [
        f"{principal} on {name}: {sorted(found[principal][name])}"
        for principal in PRINCIPALS
        for name in names
        if found[principal][name] != table(principal, name)
    ]


def expected(principal: str, who: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """Return what the broker should say to a principal about each topic."""
    return {
        NAMES[each]: wire.STORED if principal in named else wire.REFUSED
        for each, named in who.items()
    }


def on_topics(settings: Settings) -> dict[str, frozenset[str]]:
    """Return what the broker says that one may do to each topic of the other installation."""
    names = TopicCollection([*NAMES.values()])
    admin = admin_of(settings)
    return judged(admin.describe_topics(names, include_authorized_operations=True))


def on_groups(settings: Settings) -> dict[str, frozenset[str]]:
    """Return the same of each consumer group."""
    names = [OTHER_PREFIX + each for each in MEMBERS]
    admin = admin_of(settings)
    return judged(admin.describe_consumer_groups(names, include_authorized_operations=True))


def on_cluster(settings: Settings) -> set[str]:
    """Return the same of the cluster."""
    admin = admin_of(settings)
    asked = admin.describe_cluster(include_authorized_operations=True)
    return {each.name for each in asked.result(SECONDS).authorized_operations or ()}


def judged(asked: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    found = {}
    for name, answer in asked.items():
        try:
            operations = answer.result(SECONDS).authorized_operations
        except KafkaException as error:
            if error.args[0].code() not in REFUSED:
                raise
            operations = []
        found[name.removeprefix(OTHER_PREFIX)] = frozenset(each.name for each in operations)
    return found


# A topic that one may do nothing with is as one that is not there.
REFUSED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}


def transaction(settings: Settings) -> str:
    """Return what one is refused for who begins a transaction; empty: it may."""
    given = {"transactional.id": f"{OTHER_PREFIX}any", **client(settings)}
    try:
        Producer(given).init_transactions(SECONDS)
    except KafkaException as error:
        return str(error.args[0].name())
    return ""


REFUSALS = {"TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"}


def changes(settings: Settings) -> dict[str, str]:
    """Try to change each thing that is no message; return what each was refused for."""
    admin = admin_of(settings)
    longer = ConfigEntry("retention.ms", "-1", incremental_operation=AlterConfigOpType.SET)
    topic, broker = ResourceType.TOPIC, ResourceType.BROKER
    asked: dict[str, Any] = {
        "create a topic": admin.create_topics([NewTopic(OTHER_PREFIX + "one-more", 1, 1)]),
        "delete a topic": admin.delete_topics([NAMES["letters"]]),
        "lengthen a topic": admin.create_partitions([NewPartitions(NAMES["letters"], 8)]),
        "set a topic": admin.incremental_alter_configs(
            [ConfigResource(topic, NAMES["notices"], incremental_configs=[longer])]
        ),
        "see a broker's settings": admin.describe_configs([ConfigResource(broker, "1")]),
        "set a broker": admin.incremental_alter_configs(
            [ConfigResource(broker, "1", incremental_configs=[longer])]
        ),
        "allow": admin.create_acls(acls(None, "any.")[:1]),
        "forbid": admin.delete_acls([everything()]),
    }
    return {what: refusal(next(iter(answers.values()))) for what, answers in asked.items()}


def everything() -> AclBindingFilter:
    """Return what fits every ACL of a topic."""
    literal, allow = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
    name = OTHER_PREFIX + "notices"
    return AclBindingFilter(
        ResourceType.TOPIC, name, literal, None, None, AclOperation.ANY, allow
    )  # fmt: skip


def refusal(answer: Any) -> str:
    """Return what a request was refused for; empty: it was not."""
    try:
        answer.result(SECONDS)
    except KafkaException as error:
        return str(error.args[0].name())
    return ""


def client(settings: Settings) -> dict[str, Any]:
    reach = {"bootstrap.servers": settings.kafka.bootstrap, "log_level": 0}
    return reach | kafka_login.options(settings)


def admin_of(settings: Settings) -> AdminClient:
    return AdminClient(client(settings))
