"""The brokers that can be started here: the embedded one, and Apache Kafka of one node or more."""

import secrets
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lethe.local import EngineError
from lethe.local.process import Process, choose_port, choose_ports

# Seconds, not minutes: what is deleted should be gone while one watches, and a broker that was
# killed back before its old session is over. Production keeps the defaults; docs/operations.md
# derives the bounds from them. An index holds what a segment of 16 MiB needs, the largest of our
# topics; Kafka's own 10 MiB, for each of hundreds of segments, are reserved and searched in vain.
# Brokers have a listener of their own, so that what stands before that of the clients is not
# between brokers.
_KAFKA: Final = """\
process.roles=broker,controller
node.id={node.id}
controller.quorum.voters={voters}
listeners=CLIENTS://127.0.0.1:{node.port},INSIDE://127.0.0.1:{node.inside},\
CONTROLLER://127.0.0.1:{node.controller}
advertised.listeners=CLIENTS://127.0.0.1:{node.advertised},INSIDE://127.0.0.1:{node.inside}
controller.listener.names=CONTROLLER
inter.broker.listener.name=INSIDE
listener.security.protocol.map=CLIENTS:{clients},INSIDE:{inside},CONTROLLER:{inside}
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor={copies}
min.insync.replicas={needed}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={needed}
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=500
log.cleaner.backoff.ms=1000
log.initial.task.delay.ms=1000
log.index.size.max.bytes=65536
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""

SUPER_USER: Final = "admin"
NODE: Final = "broker"

# Who shows a password, or a certificate, and then what the ACLs allow: without one, nothing. A
# certificate's common name is the user's, and one that has none of the kind is refused.
_SECURED: Final = """\
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.enabled.protocols=TLSv1.3,TLSv1.2
ssl.keystore.type=PEM
ssl.keystore.location={access.certificate}
ssl.truststore.type=PEM
ssl.truststore.location={access.authority}
listener.name.inside.ssl.client.auth=required
listener.name.controller.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=([A-Za-z0-9._-]+)(,.*)?$/$1/
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{super_user};User:{node_user}
"""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in, over TLS; what each may do there, ACLs say.

    On the clients' port by a password, SASL/SCRAM-SHA-512: ``passwords`` has them by user name; the
    one called ``SUPER_USER`` has to be there and may do everything. On ``port`` by a certificate of
    ``authority`` (PEM), whose common name is the user's. ``certificate`` is the broker's own, after
    its private key (PKCS#8), in one PEM file; its common name is ``NODE``.
    """

    passwords: Mapping[str, str]
    certificate: Path
    authority: Path
    port: int


@dataclass(frozen=True, slots=True)
class _Node:
    """One process of Apache Kafka, broker and controller, and the ports it has."""

    id: int
    name: str
    folder: Path
    log: Path
    port: int
    advertised: int
    inside: int
    controller: int

    @property
    def data(self) -> Path:
        return self.folder.resolve() / "data"

    @property
    def properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def meta(self) -> Path:
        """What tells that the data folder is formatted, and for which cluster."""
        return self.data / "meta.properties"


def embedded(binary: Path, folder: Path, log: Path, port: int) -> Process:
    """Return the embedded broker with its data in ``folder``, not yet started."""
    folder.mkdir(parents=True, exist_ok=True)
    only = ["--only", "kafka", "--kafka-port", str(port)]
    return Process("broker", [str(binary), "start", *only, "--data-dir", str(folder)], log, [port])


def kafka(
    jars: Path,
    folder: Path,
    log: Path,
    port: int,
    access: Access | None = None,
    *,
    advertised: int | None = None,
) -> Process:
    """Return Apache Kafka (KRaft, one node) with its data in ``folder``, not yet started.

    Without ``access`` everybody may do everything. ``advertised`` is the port that clients are told
    to come by, where something of the caller's stands before the broker's.
    """
    inside = choose_port(port + 2) if access is None else access.port
    node = _Node(
        1, "broker", folder, log, port, advertised or port, inside, choose_port(port + 1)
    )  # fmt: skip
    (process,) = _prepare(jars, [node], 512, access)
    return process


def cluster(
    jars: Path,
    folder: Path,
    logs: Path,
    count: int = 3,
    *,
    advertised: Callable[[int], int] = lambda port: port,
) -> list[Process]:
    """Return ``count`` nodes of one Apache Kafka, ``broker-1`` and so on, not yet started.

    Start them with ``start_together`` or one call of ``Supervisor.run``: none is ready before most
    of them run. Each has its data in a folder of its name, and listens to clients on ``ports[0]``.
    ``advertised`` is called with that port and returns the one that clients are told to come by.

    A partition has three copies (as many as there are nodes, if fewer); what is acknowledged is in
    all but one of them.
    """
    ports = iter(choose_ports(3 * count))
    nodes = []
    for number in range(1, count + 1):
        name, port = f"broker-{number}", next(ports)
        home, log = folder / name, logs / f"{name}.log"
        nodes.append(
            _Node(number, name, home, log, port, advertised(port), next(ports), next(ports))
        )
    return _prepare(jars, nodes, 256)


def _prepare(
    jars: Path, nodes: Sequence[_Node], heap: int, access: Access | None = None
) -> list[Process]:
    """Write what the nodes start with, and return them; ``heap`` in MiB."""
    copies = min(3, len(nodes))
    for node in nodes:
        node.folder.mkdir(parents=True, exist_ok=True)
        text = _KAFKA.format(
            node=node,
            voters=",".join(f"{each.id}@127.0.0.1:{each.controller}" for each in nodes),
            data=node.data,
            clients="PLAINTEXT" if access is None else "SASL_SSL",
            inside="PLAINTEXT" if access is None else "SSL",
            copies=copies,
            needed=max(1, copies - 1),
        )
        if access is not None:
            text += _SECURED.format(access=access, super_user=SUPER_USER, node_user=NODE)
        node.properties.write_text(text)
    java = ["java", f"-Xmx{heap}m", "-cp", f"{jars}/*"]
    _format(java, nodes, access)
    return [
        Process(
            node.name,
            [*java, "kafka.Kafka", str(node.properties)],
            node.log,
            [node.port, node.inside],
        )
        for node in nodes
    ]


def _format(java: Sequence[str], nodes: Sequence[_Node], access: Access | None) -> None:
    """Prepare the data folders that are new. Raise EngineError."""
    new = [node for node in nodes if not node.meta.exists()]
    old = [node for node in nodes if node not in new]
    identity = (
        _cluster_of(old[0]) if old
        else urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    )  # fmt: skip

    def prepare(node: _Node) -> None:
        # One word: an id may begin with "-", which would be taken for an option.
        arguments = ["format", f"--cluster-id={identity}", "-c", str(node.properties)]
        # Not on the command line, which every user of the machine may read.
        users = node.folder / "users"
        if access is not None:
            users.touch(mode=0o600)
            users.write_text("\n".join(_users(access.passwords)))
            arguments.append(f"@{users}")
        # Over before it was worth compiling well.
        done = subprocess.run(  # noqa: S603
            [*java, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", *arguments],
            capture_output=True,
            check=False,
            text=True,
        )
        users.unlink(missing_ok=True)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise EngineError(
                f"Apache Kafka could not prepare {node.data}; is Java 17 or later? It said: {said}"
            )

    with ThreadPoolExecutor() as pool:
        list(pool.map(prepare, new))


def _cluster_of(node: _Node) -> str:
    """Return the id of the cluster that a node's data folder is of."""
    lines = node.meta.read_text().splitlines()
    return next(each for each in lines if each.startswith("cluster.id=")).partition("=")[2]


def _users(passwords: Mapping[str, str]) -> list[str]:
    return [
        f"--add-scram=SCRAM-SHA-512=[name={name},iterations=4096,password={password}]"
        for name, password in passwords.items()
    ]
