"""Alerts and dashboard ask for metrics that exist, and every alert says what to do."""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from streams.metrics import REGISTRY
from streams.parts import MODULES

# With these every metric there is.
for _module in (*MODULES, "streams.app"):
    import_module(_module)

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/dashboards/lethe.json"
# Prometheus makes it of each target.
ITS_OWN = {"up"}
# By Prometheus's own conventions of what a histogram or counter shows.
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]


def expressions() -> dict[str, str]:
    asked = {f"alert {each['alert']}": each["expr"] for each in rules()}
    for panel in panels():
        for target in panel["targets"]:
            asked[f"panel {panel['title']} {target['refId']} {panel['id']}"] = target["expr"]
    return asked


def shown() -> dict[str, set[str]]:
    """Return every metric of the registry with its labels."""
    known: dict[str, set[str]] = {}
    for collector in list(REGISTRY._collector_to_names):
        labels = set(getattr(collector, "_labelnames", ()))
        described = getattr(collector, "describe", collector.collect)
        for family in described():
            for suffix in SUFFIXES.get(family.type, ("",)):
                extra = {"le"} if suffix == "_bucket" else set()
                known[family.name + suffix] = labels | extra
    for family in REGISTRY.collect():  # of the process: no labels of its own
        for sample in family.samples:
            known.setdefault(sample.name, set(sample.labels))
    return known


def selectors(node: Any) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric that an expression asks for, with the labels it is chosen by."""
    text = str(node)
    for name, labels in re.findall(r"\b([a-z_:]\w*)\s*\{([^}]*)\}", text):
        yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels))
    bare = re.sub(r"\{[^}]*\}|\"[^\"]*\"", "", text)
    yield from ((name, set()) for name in re.findall(r"\b(lethe_\w+|process_\w+|up)\b", bare))


@pytest.mark.parametrize("what", expressions())
def test_an_expression_is_promql_and_asks_for_what_exists(what: str) -> None:
    expression = expressions()[what]
    known = shown()
    asked = list(selectors(promql_parser.parse(expression)))
    assert asked
    for name, labels in asked:
        assert name in known or name in ITS_OWN, name
        if name not in ITS_OWN:
            assert labels <= known[name] | {"job", "instance"}, (name, labels)
    by = {each for group in re.findall(r"by \(([^)]*)\)", expression) for each in group.split(", ")}
    ours = set().union(*(known.get(name, set()) for name, _ in asked))
    assert by <= ours | {"job", "instance"}, by


def test_a_metric_that_does_not_exist_would_be_seen() -> None:
    asked = list(selectors(promql_parser.parse('rate(lethe_no_such_total{x="y"}[5m]) > 1')))
    assert ("lethe_no_such_total", {"x"}) in asked
    assert "lethe_no_such_total" not in shown()


@pytest.mark.parametrize(
    "metric",
    sorted(
        each for each in shown() if re.fullmatch(r"lethe_(security|guard)_\w+(?<!_created)", each)
    ),
)
def test_of_attacks_everything_is_shown_and_somebody_is_told(metric: str) -> None:
    asked = [what for what, each in expressions().items() if metric in each]
    assert {what.split(" ")[0] for what in asked} == {"alert", "panel"}


def test_each_alert_leads_to_a_section_of_the_runbooks_and_names_labels_it_has() -> None:
    headings = re.findall(r"(?m)^## (.+)$", (ROOT / "docs/runbooks.md").read_text())
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    text = (ROOT / "docs/runbooks.md").read_text()
    names = [each["alert"] for each in rules()]
    assert len(names) == len(set(names)) > 20
    for rule in rules():
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert file == "docs/runbooks.md"
        assert anchor in anchors, rule["alert"]
        assert f"`{rule['alert']}`" in text, rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        known = shown()
        asked = selectors(promql_parser.parse(rule["expr"]))
        labels = set().union(*(known.get(name, set()) for name, _ in asked)) | {"job", "instance"}
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert label in labels, (rule["alert"], label)


def test_the_runbooks_name_no_alert_that_is_not_there() -> None:
    text = (ROOT / "docs/runbooks.md").read_text()
    named = set()
    for line in re.findall(r"\*\*You see\*\*([^.;]*)", text):
        named |= set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", line))
    assert named == {each["alert"] for each in rules()}


def test_what_is_provisioned_is_there() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    for name in ("prometheus", "grafana"):
        for volume in compose["services"][name]["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists(), source
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert all((PROMETHEUS / each).is_file() for each in config["rule_files"])
    targets = {
        target.split(":")[0]
        for job in config["scrape_configs"]
        for some in job["static_configs"]
        for target in some["targets"]
    }
    assert targets <= compose["services"].keys()
    source = yaml.safe_load(
        (ROOT / "deploy/grafana/provisioning/datasources/lethe.yml").read_text()
    )["datasources"][0]
    assert {each["datasource"]["uid"] for each in panels()} == {source["uid"]}


def test_panels_do_not_cover_each_other_and_have_ids_of_their_own() -> None:
    every = json.loads(DASHBOARD.read_text())["panels"]
    assert len({each["id"] for each in every}) == len(every)
    taken: set[tuple[int, int]] = set()
    for each in every:
        at = each["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, each["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
