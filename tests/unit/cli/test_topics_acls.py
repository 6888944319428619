from typing import Any


def test_the_list_names_who_and_what_in_full(lethe: Any) -> None:
    listed = lethe("topics", "acls")
    assert listed.exit_code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:5]] for line in listed.output.splitlines()]
    assert ["User:mail-system", "allow read", "topic", "mailing-changes"] in rows
    assert ["User:worker", "allow delete", "topic", "tracking-events-raw"] in rows


def test_as_commands_for_the_tool_of_kafka(lethe: Any) -> None:
    lines = lethe("topics", "acls", "--format", "commands").output.splitlines()
    assert (
        "kafka-acls.sh --bootstrap-server 127.0.0.1:9092 --add --allow-principal User:worker"
        " --operation Read --group deliver- --resource-pattern-type prefixed"
    ) in lines


def test_create_is_not_passed_over_in_silence(lethe: Any) -> None:
    assert lethe("topics", "--create", "acls").exit_code == 2
