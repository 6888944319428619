"""What the documents tell people to type works."""

import ast
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

import lethe
from lethe.cli import COMMANDS, app
from lethe.standins.account import POLICY
from privacy import consent_request
from privacy.forms import problems
from schemas.codec import decode
from streams import policy
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language, of all documents."""
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


COMMAND_LINES = sorted(
    {
        line.split("#")[0].strip()
        for block in blocks("sh")
        for line in block.splitlines()
        if line.startswith("lethe ")
    }
)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_command_line_is_understood(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "access.log").touch()
    _, name, *arguments = shlex.split(line)
    command = typer.main.get_command(app).get_command(None, name)  # type: ignore[arg-type,attr-defined]
    assert command is not None, f"there is no lethe {name}"
    with command.make_context(name, arguments) as context:
        assert context.params is not None


def test_the_documents_show_the_commands_that_matter() -> None:
    shown = {shlex.split(line)[1].replace("-", "_") for line in COMMAND_LINES}
    assert {"up", "simulate", "status", "report", "ingest_log", "audit", "geo"} <= shown
    assert shown <= set(COMMANDS)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^make (\w+)", "\n".join(blocks("sh")), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_links_lead_somewhere() -> None:
    for document in [*DOCUMENTS, ROOT / "ARCHITECTURE.md"]:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_the_form_that_is_shown_is_taken_by_the_policy_it_is_for() -> None:
    text = "\n".join(blocks("sh"))
    ((service, body),) = re.findall(r"/v1/forms/(\S+) .*?-d '(.*?)'", text, re.DOTALL)
    assert not problems(policy.load(POLICY).services[service], json.loads(body))


def test_the_consent_that_is_shown_is_taken_by_the_policy_it_is_for() -> None:
    text = "\n".join(blocks("sh"))
    (body,) = re.findall(r"/v1/consent -H.*?-d '(.*?)'", text, re.DOTALL)
    assert not consent_request.problems(json.loads(body), policy.load(POLICY).purposes)


def test_what_is_imported_is_there() -> None:
    nodes = [node for each in blocks("python") for node in ast.walk(ast.parse(each))]
    found = [each for each in nodes if isinstance(each, ast.ImportFrom) and each.module == "lethe"]
    named = {name.name for each in found for name in each.names}
    assert {"Publisher", "RetentionWorker", "submit_form"} <= named <= set(lethe.__all__)


@pytest.mark.broker
def test_the_sdk_example_publishes(settings: Settings, read_topic: Any) -> None:
    (example,) = (each for each in blocks("python") if "publisher.publish" in each)
    example = example.replace("127.0.0.1:9092", settings.kafka.bootstrap)
    example = example.replace(
        'site="shop.example"', f'"shop.example", prefix="{settings.kafka.prefix}"'
    )
    exec(compile(example, "README", "exec"), {})
    (found,) = read_topic(settings.kafka.bootstrap, settings.topic("tracking-events"))
    assert decode("tracking_event", found.value)["ip"] == "192.0.2.0"
