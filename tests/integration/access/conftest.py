"""An invented company on an Apache Kafka that asks who is there, and allows what the list says."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from confluent_kafka import Consumer, Message, Producer

from lethe import CaseReader
from lethe.local import brokers
from lethe.local.process import Process, choose_port, listening
from privacy.policy import Policy
from sinks.geo.store import sample_table
from sinks.kafka import SAFE, consumer
from sinks.kafka_acls import acls, put_acls
from sinks.kafka_admin import create_topics
from sinks.places import Places
from streams import kafka_login, policy
from streams.keys.prepare import prepare
from streams.settings import Collector, Geo, Kafka, Keys, Settings, load
from streams.shared import now
from tests.engines import or_skipped
from tests.integration.access.secured import Secured
from tests.waiting import PATIENCE, until

PREFIX = "acl."
OTHER_PREFIX = "matrix."
PARTS = (
    "anonymise", "anonymise-raw", "route", "consent", "cases", "closures", "delete", "receipts",
    "overdue", "requests", "rights",
)  # fmt: skip  # of those that read or write Kafka, what needs no ClickHouse and no provider
POLICY = """\
version = "1"
[controller]
name = "Example Trading"
contact = "privacy@www.example"
[authority]
name = "Example Authority"
address = "1 Example Square"
complaint = "You may complain there (Art. 77 GDPR)."
[departments.sales]
title = "Sales"
contact = "sales@www.example"
[departments.hr]
title = "People"
contact = "people@www.example"
[rights]
department = "hr"
[services.sample]
title = "Sample"
life_cycle = "sample"
departments = ["sales"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["to send what was asked for"]
fields.email = { title = "E-mail", kind = "email", mandatory = true }
[services.job]
title = "Application"
life_cycle = "application"
departments = ["hr"]
legal_basis = "Art. 6(1)(b) GDPR"
purposes = ["to fill a vacancy"]
fields.email = { title = "E-mail", kind = "email", mandatory = true }
[holders.crm]
title = "Customers"
services = ["sample", "job"]
[holders.mail]
title = "Mail"
services = ["job"]
[purposes.ads]
title = "Ads"
covers = "ads"
mode = "opt_in"
legal_basis = "Art. 6(1)(a) GDPR"
"""


class Company:
    """Everybody who has a login at the broker. ``PREFIX`` is in every principal's name."""

    def __init__(self, folder: Path, secured: Secured, its_policy: Policy) -> None:
        self._folder = folder
        self._secured = secured
        self.policy = its_policy
        self.acls = acls(self.policy, PREFIX)
        self._settings = load(
            engines=False,
            data_dir=folder,
            policy=policy_file(folder),
            kafka=Kafka(prefix=PREFIX, session_seconds=6),
            collector=Collector(port=choose_port(0)),
            keys=Keys(port=choose_port(0)),
            geo=Geo(cache=folder / "geo"),
            metrics_port=choose_port(0),
        )
        install(self.operator, self.policy)

    @property
    def operator(self) -> Settings:
        """Settings of the super user."""
        return self._secured.by_password(self._settings, brokers.SUPER_USER)

    def settings(self, party: str) -> Settings:
        """Return settings with a party's login."""
        return self._secured.by_password(self._settings, PREFIX + party)

    def topic(self, name: str) -> str:
        """Return a topic's name on the broker."""
        return self._settings.topic(name)

    def consumer(self, settings: Settings, topic: str, group: str) -> Consumer:
        """Return a consumer of a topic, with the login of ``settings``."""
        options = {"log_level": "0", **kafka_login.options(settings)}
        source = consumer(settings.kafka.bootstrap, PREFIX + group, options)
        source.subscribe([self.topic(topic)])
        return source

    def read(self, topic: str) -> list[Message]:
        """Return what the operator reads of a topic that is not empty, up to its present end."""
        options = {"log_level": "0", **kafka_login.options(self.operator)}
        places = Places(self.operator.kafka.bootstrap, options, f"{PREFIX}operator")
        found: list[Message] = until(lambda: list(places.kept(self.topic(topic))))
        return found

    def refusal(self, source: Consumer) -> str:
        """Return what the broker refuses a reader for."""
        found: list[Message] = []
        until(lambda: bool(found.extend(source.consume(1, 0.5))) or bool(found))
        source.close()
        error = found[0].error()
        return "" if error is None else str(error.name())

    def write(self, settings: Settings, topic: str, value: bytes | None, key: bytes = b"k") -> str:
        """Produce a message as our clients do, and return what it is refused for; empty: stored."""
        given = {"bootstrap.servers": settings.kafka.bootstrap, "log_level": 0, **SAFE}
        producer = Producer({**given, **kafka_login.options(settings)})
        errors: list[str] = []

        def report(error: Any, _: Any) -> None:
            errors.append("" if error is None else error.name())

        producer.produce(self.topic(topic), value, key, on_delivery=report)
        producer.flush(PATIENCE)
        return errors[0]

    def reader(
        self, settings: Settings, department: str, token: str, group: str | None = None
    ) -> CaseReader:
        """Return a reader of a department's topic, with any login and any department's token."""
        return CaseReader(
            settings.kafka.bootstrap,
            department,
            keys_url=f"http://127.0.0.1:{settings.keys.port}",
            token=(self._settings.secrets / "departments" / token).read_text(),
            prefix=PREFIX,
            group=group,
            **kafka_login.python_options(settings),
        )

    def cases(self, department: str) -> dict[str, str]:
        """Return the e-mail address of each case that a department reads."""
        settings = self.settings(f"department-{department}")
        with self.reader(settings, department, department) as own:
            return {each.case_id: each.fields["email"] for each in own.present().values()}

    def post(self, path: str, body: Any) -> Any:
        """Send what a site sends, and return the answer."""
        request = Request(
            f"http://127.0.0.1:{self._settings.collector.port}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "X-Lethe-Key": "demo-shop-key"},
        )
        with urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def submit(self, service: str, email: str) -> str:
        """Send a form, wait until its department has it, and return its case."""
        (department,) = self.policy.services[service].departments
        form = {"fields": {"email": email}, "idempotency_key": f"{service}-{now()}"}
        case_id = str(self.post(f"/v1/forms/{service}", form)["case_id"])
        until(lambda: self.cases(department).get(case_id) == email)
        return case_id

    def work(self, stack: ExitStack) -> None:
        """Run collector, worker and key server, each with its own login: the last with none."""
        sample_table(self._settings.geo.cache)
        prepare(self._settings.secrets, self.policy)
        parts = [word for part in PARTS for word in ("--only", part)]
        processes = [
            self._process("collector", "collect", port=self._settings.collector.port),
            self._process("worker", "worker", *parts, port=self._settings.metrics_port),
            self._process("", "keys", "serve", port=self._settings.keys.port),
        ]
        for each in processes:
            each.spawn()
            stack.callback(each.stop)
        self.worker = processes[1]
        until(lambda: all(listening(each.ports[0]) for each in processes))

    def _login(self, party: str) -> Settings:
        """Return a party's settings, with all that is secret: here the same for all."""
        made = self.settings(party)
        for each in self._settings.secrets.iterdir():
            if not (own := made.secrets / each.name).exists():
                own.symlink_to(each)
        return made

    def _process(self, party: str, *words: str, port: int) -> Process:
        return Process(
            words[0],
            [sys.executable, "-m", "lethe", *words],
            self._folder / f"{words[0]}.log",
            [port],
            (self._login(party) if party else self._settings).environment(),
        )


def policy_file(folder: Path) -> Path:
    """Write the company's policy."""
    file = folder / "policy.toml"
    file.write_text(POLICY)
    return file


def install(operator: Settings, its_policy: Policy) -> None:
    """Create topics, and allow what the list says."""
    kafka, options = operator.kafka, kafka_login.options(operator)
    create_topics(
        kafka.bootstrap, options, kafka.prefix,
        departments=its_policy.departments, holders=its_policy.holders,
    )  # fmt: skip
    put_acls(kafka.bootstrap, options, acls(its_policy, kafka.prefix), kafka.prefix)


@pytest.fixture(scope="session")
def its_policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """Read the company's policy."""
    return policy.load(policy_file(tmp_path_factory.mktemp("policy")))


@pytest.fixture(scope="session")
def secured(its_policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Start the broker, at which two installations have their logins."""
    users = {
        each.principal.removeprefix("User:")
        for prefix in (PREFIX, OTHER_PREFIX)
        for each in acls(its_policy, prefix)
    }
    with or_skipped():
        made = Secured(tmp_path_factory.mktemp("secured"), sorted(users))
        made.process.start()
    yield made
    made.process.stop()


@pytest.fixture(scope="module")
def company(
    secured: Secured, its_policy: Policy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Company]:
    """Start the company, whose parties may do what the list says."""
    with ExitStack() as stack:
        made = Company(tmp_path_factory.mktemp("company"), secured, its_policy)
        made.work(stack)
        yield made


@pytest.fixture(name="until")
def patience() -> Callable[[Callable[[], bool]], None]:
    """Return what waits until something is so."""
    return until
