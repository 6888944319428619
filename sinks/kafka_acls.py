"""Who may do what on Kafka (S2): every ACL, from the topic catalogue and the policy.

A principal for each party that has a credential of its own. Topics are named in full, and groups,
but for a department's and letters', which may have several readers, and those of deliveries, one a
provider.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from privacy.policy import Policy
from schemas.registry import Topic, topics_of

RAW = "tracking-events-raw"
SECONDS = 30.0  # for the broker to answer


class Client(NamedTuple):
    """As whom a producer or consumer of the catalogue connects, and in which groups it reads.

    ``each``: there is one for each of the policy's, whose name takes the place of ``{}``; "rights"
    is the one department that answers people's requests. A group that ends in ``*`` is whatever
    begins so.
    """

    principal: str
    groups: tuple[str, ...] = ()
    each: Literal["department", "holder", "rights"] | None = None


_DEPARTMENT = Client("department-{}", ("department-{}.*",), each="department")

# By their names in the catalogue. Consents and alerts are read in no group, by a
# client that has to name one.
CLIENTS: Mapping[str, Client] = {
    "collector": Client("collector", ("blocked",)),
    "sdk": Client("sdk"),
    "ingest-log": Client("sdk"),
    "anonymise": Client("worker", ("anonymise", "anonymise-raw", "consents")),
    "load": Client("worker", ("load",)),
    "consent": Client("worker", ("consent",)),
    "route": Client("worker", ("route", "consents")),
    "profiles": Client("worker", ("profiles", "consents")),
    "deliver": Client("worker", ("deliver-*", "consents")),
    "cases": Client("worker", ("cases",)),
    "delete": Client("worker"),
    "receipts": Client("worker", ("receipts",)),
    "overdue": Client("worker"),
    "requests": Client("worker", ("requests",)),
    "rights": Client("worker"),
    "dead-letters": Client("worker", ("lethe",)),
    "case-reader": _DEPARTMENT,
    "departments": _DEPARTMENT,
    "letter-reader": Client("department-{}", ("letters.*",), each="rights"),
    "retention-worker": Client("holder-{}", ("retention-{}", "rights-{}"), each="holder"),
    "security": Client("worker", ("security",)),
    "web-servers": Client("web-server", ("web-server",)),
    "mail-system": Client("mail-system", ("mail-system",)),
    "operators": Client("alerting", ("alerting",)),
    "rights-desk": Client("operator"),
}


def acls(policy: Policy | None, prefix: str = "") -> list[AclBinding]:
    """Return every ACL of an installation, in order.

    ``prefix`` is put before topics, groups and principals, so that the clients of two
    installations on one broker are strangers to each other. Raise ValueError for a producer or
    consumer of the catalogue whose principal is not known.
    """
    departments = () if policy is None else tuple(policy.departments)
    holders = () if policy is None else tuple(policy.holders)
    rights = None if policy is None else policy.rights
    everything = topics_of(departments, holders).values()
    _require_known(everything)
    # Who sees which topics: departments and holders their own, not the others'.
    parties: Mapping[str | None, Mapping[str, Collection[Topic]]] = {
        None: {"": everything},
        "department": {each: topics_of([each]).values() for each in departments},
        "holder": {each: topics_of(holders=[each]).values() for each in holders},
        "rights": {} if rights is None else {rights.department: everything},
    }
    found = {
        acl
        for name, client in CLIENTS.items()
        for party, topics in parties[client.each].items()
        for acl in _acls_of(name, client, party, topics, prefix)
    }
    # What is read there is deleted at once: it has full addresses.
    found.add(_allow(f"{prefix}worker", AclOperation.DELETE, ResourceType.TOPIC, prefix + RAW))
    return sorted(found, key=_order)


def put_acls(
    bootstrap: str, options: Mapping[str, str], wanted: Iterable[AclBinding], prefix: str = ""
) -> tuple[list[AclBinding], list[AclBinding]]:
    """Add those that the broker does not have; return them, and what else it has for ``prefix``.

    Nothing is taken away: the rest may be somebody's reason to work. Raise KafkaException when the
    broker does not answer, does not let us, or has no authorizer.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2, **options})
    there = set(admin.describe_acls(_EVERY, request_timeout=SECONDS).result())
    asked = set(wanted)
    missing = sorted(asked - there, key=_order)
    if missing:
        for done in admin.create_acls(missing, request_timeout=SECONDS).values():
            done.result()
    return missing, sorted((each for each in there - asked if _reaches(each, prefix)), key=_order)


def _require_known(topics: Iterable[Topic]) -> None:
    named = {each for topic in topics for each in (*topic.producers, *topic.consumers)}
    if unknown := named - CLIENTS.keys():
        raise ValueError(f"no principal is known for {', '.join(sorted(unknown))}")


def _acls_of(
    name: str, client: Client, party: str, topics: Iterable[Topic], prefix: str
) -> Iterator[AclBinding]:
    """Return what a client needs; to describe a topic or group is part of reading or writing it."""
    principal = prefix + client.principal.format(party)
    for topic in topics:
        if name in topic.producers:
            yield _allow(principal, AclOperation.WRITE, ResourceType.TOPIC, prefix + topic.name)
        if name in topic.consumers:
            yield _allow(principal, AclOperation.READ, ResourceType.TOPIC, prefix + topic.name)
    for group in client.groups:
        yield _allow(principal, AclOperation.READ, ResourceType.GROUP, prefix + group.format(party))


def _allow(principal: str, operation: AclOperation, kind: ResourceType, name: str) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if name.endswith("*") else ResourcePatternType.LITERAL
    allow = AclPermissionType.ALLOW
    return AclBinding(
        kind, name.removesuffix("*"), pattern, f"User:{principal}", "*", operation, allow
    )


def _order(acl: AclBinding) -> tuple[str, ...]:
    told = acl.restype, acl.operation, acl.resource_pattern_type, acl.permission_type
    return acl.principal, acl.restype.name, acl.name, *(each.name for each in told), acl.host


def _reaches(acl: AclBinding, prefix: str) -> bool:
    """Tell whether an ACL is about anything of the installation with this prefix."""
    if acl.restype not in {ResourceType.TOPIC, ResourceType.GROUP}:
        return True
    if acl.resource_pattern_type == ResourcePatternType.PREFIXED and prefix.startswith(acl.name):
        return True
    name: str = acl.name
    return name == "*" or name.startswith(prefix)


_EVERY = AclBindingFilter(
    ResourceType.ANY,
    None,
    ResourcePatternType.ANY,
    None,
    None,
    AclOperation.ANY,
    AclPermissionType.ANY,
)
