"""Who may do what on Kafka, written by hand: docs/access.md in rows, for an invented company.

It has the departments sales and hr, of which hr answers people, and the holders crm and mail.
Whatever is not here is refused. The list under test is made from the catalogue and the
policy; this one is not, and says the same.
"""

from collections.abc import Mapping

_TOPICS = """
access-log              worker                         collector,sdk
ads-ga4                 worker                         worker
ads-google-ads          worker                         worker
ads-linkedin            worker                         worker
ads-meta                worker                         worker
ads-x                   worker                         worker
cases-hr                department-hr                  worker
cases-sales             department-sales               worker
consent-changes         worker                         collector,sdk,worker
consent-state           worker                         worker
corrections             holder-crm,holder-mail         worker
dead-letters            worker                         worker
deletion-receipts-crm   worker                         holder-crm
deletion-receipts-mail  worker                         holder-mail
deletions               holder-crm,holder-mail         worker
exports                 holder-crm,holder-mail         worker
form-submissions        worker                         collector
holds                   holder-crm,holder-mail         worker
letters                 department-hr                  worker
mailing-changes         mail-system                    worker
notices                 department-hr,department-sales worker
pipeline-alerts         alerting                       worker
security-alerts         collector,web-server           worker
service-events          worker                         collector,department-hr,department-sales
subject-requests        worker                         collector,operator
tracking-anonymised     worker                         worker
tracking-events         worker                         collector,sdk
tracking-events-raw     worker                         sdk
"""  # topic, who reads it, who writes it

_GROUPS = """
alerting                alerting
anonymise               worker
anonymise-raw           worker
blocked                 collector
cases                   worker
consent                 worker
consents                worker
deliver-ga4             worker
deliver-meta            worker
department-hr.any       department-hr
department-sales.any    department-sales
department-sales.crm    department-sales
lethe                   worker
letters.any             department-hr
load                    worker
mail-system             mail-system
profiles                worker
receipts                worker
requests                worker
retention-crm           holder-crm
retention-mail          holder-mail
rights-crm              holder-crm
rights-mail             holder-mail
route                   worker
security                worker
web-server              web-server
collector               -
deliver                 -
department-sales        -
department-salesmen.any -
letters                 -
operator                -
overdue                 -
retention-crm.any       -
rights                  -
sdk                     -
worker                  -
"""  # group, who reads in it: the last ones nobody, though their names come near


def _sets(table: str) -> Mapping[str, list[frozenset[str]]]:
    found = {}
    for line in table.strip().splitlines():
        name, *columns = line.split()
        found[name] = [frozenset(each.split(",")) - {"-"} for each in columns]
    return found


PRINCIPALS = (
    "alerting", "collector", "department-hr", "department-sales", "holder-crm", "holder-mail",
    "mail-system", "operator", "sdk", "web-server", "worker",
)  # fmt: skip
READERS = {name: reads for name, (reads, _) in _sets(_TOPICS).items()}
WRITERS = {name: writes for name, (_, writes) in _sets(_TOPICS).items()}
DELETERS = {name: frozenset[str]() for name in READERS} | {
    "tracking-events-raw": frozenset({"worker"})  # what it has read, since it has full addresses
}
MEMBERS = {name: reads for name, (reads,) in _sets(_GROUPS).items()}


def of_topic(principal: str, topic: str) -> frozenset[str]:
    """Return what a principal may do to a topic; who may do anything may describe it."""
    named = {"READ": READERS, "WRITE": WRITERS, "DELETE": DELETERS}
    found = {what for what, who in named.items() if principal in who[topic]}
    return frozenset(found | {"DESCRIBE"} if found else ())


def of_group(principal: str, group: str) -> frozenset[str]:
    """Return what a principal may do to a consumer group."""
    return frozenset({"READ", "DESCRIBE"} if principal in MEMBERS[group] else ())
