"""The two brokers that can be started here: the embedded one, and Apache Kafka."""

import secrets
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lethe.local import EngineError
from lethe.local.process import Process, choose_port

# Seconds, not minutes: what is deleted should be gone while one watches, and a broker that was
# killed back before its old session is over. Production keeps the defaults; docs/operations.md
# derives the bounds from them. An index holds what a segment of 16 MiB needs, the largest of our
# topics; Kafka's own 10 MiB, for each of hundreds of segments, are reserved and searched in vain.
_KAFKA: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENTS://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENTS
listener.security.protocol.map=CLIENTS:{protocol},CONTROLLER:{protocol}
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
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

# Whoever shows a password, and then what the ACLs allow: without one, nothing.
_SECURED: Final = """\
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
listener.name.clients.plain.sasl.jaas.config={login}
listener.name.controller.plain.sasl.jaas.config={login}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{super_user}
"""


def embedded(binary: Path, folder: Path, log: Path, port: int) -> Process:
    """Return the embedded broker with its data in ``folder``, not yet started."""
    folder.mkdir(parents=True, exist_ok=True)
    only = ["--only", "kafka", "--kafka-port", str(port)]
    return Process("broker", [str(binary), "start", *only, "--data-dir", str(folder)], log, [port])


def kafka(
    jars: Path, folder: Path, log: Path, port: int, passwords: Mapping[str, str] | None = None
) -> Process:
    """Return Apache Kafka (KRaft, one node) with its data in ``folder``, not yet started.

    Without ``passwords`` everybody may do everything. With them, by user name, clients log in
    (SASL/PLAIN, in the clear: for the loopback interface) and may do what the ACLs allow; the one
    called ``SUPER_USER`` has to be there and may do everything.
    """
    folder.mkdir(parents=True, exist_ok=True)
    properties, data = folder / "server.properties", folder / "data"
    text = _KAFKA.format(
        port=port,
        controller=choose_port(port + 1),
        data=data.resolve(),
        protocol="PLAINTEXT" if passwords is None else "SASL_PLAINTEXT",
    )
    if passwords is not None:
        text += _SECURED.format(login=_login(passwords), super_user=SUPER_USER)
    properties.touch(mode=0o600)
    properties.write_text(text)
    java = ["java", "-Xmx512m", "-cp", f"{jars}/*"]
    if not (data / "meta.properties").exists():
        cluster = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        # One word: an id may begin with "-", which would be taken for an option.
        arguments = ["format", f"--cluster-id={cluster}", "-c", str(properties)]
        # Over before it was worth compiling well.
        done = subprocess.run(  # noqa: S603
            [*java, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", *arguments],
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise EngineError(
                f"Apache Kafka could not prepare {data}; is Java 17 or later? It said: {said}"
            )
    return Process("broker", [*java, "kafka.Kafka", str(properties)], log, [port])


def _login(passwords: Mapping[str, str]) -> str:
    """Return whom a listener knows, and as whom the broker speaks to itself."""
    known = "".join(f' user_{name}="{password}"' for name, password in passwords.items())
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    return f'{module} username="{SUPER_USER}" password="{passwords[SUPER_USER]}"{known};'
