"""Settings of ClickHouse that drift: what the loader rests on is changed behind its back.

It pins what it can with each insert, and refuses to work where it cannot (``FactsWriter.check``).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import Random
from xml.etree import ElementTree as ET

from tests.chaos.faults import Fault, await_clickhouse, kill
from tests.chaos.stack import Stack, wait

LOADER = "writer"  # whose settings drift
ASYNC = {"async_insert": 1, "wait_for_async_insert": 0, "insert_deduplicate": 0}
READ_ONLY = {"readonly": 1}
WINDOW = "non_replicated_deduplication_window"


@contextmanager
def profile(stack: Stack, settings: Mapping[str, int]) -> Iterator[None]:
    """Have the loader log in to other settings, which nothing holds, until the block ends."""
    (folder,) = {each.parent for each in stack.ground.folders if each.name == "clickhouse"}
    file = folder / "clickhouse-users.xml"
    before = file.read_text()
    root = ET.fromstring(before)
    name = root.findtext(f"users/{LOADER}/profile")
    its = root.find(f"profiles/{name}")
    assert its is not None
    for each in list(its):
        if each.tag in {"constraints", *settings}:
            its.remove(each)
    for setting, value in settings.items():
        ET.SubElement(its, setting).text = str(value)
    file.write_text(ET.tostring(root, encoding="unicode"))
    try:
        restart(stack)
        yield
    finally:
        file.write_text(before)
        restart(stack)


def restart(stack: Stack) -> None:
    """Kill ClickHouse and wait until it listens again, with the users that its file names."""
    kill(stack.clickhouse)
    await_clickhouse(stack)


@contextmanager
def table(stack: Stack, setting: str, value: int) -> Iterator[None]:
    """Change a setting of the table of facts until the block ends."""
    with stack.house() as house:
        house.execute(f"ALTER TABLE facts MODIFY SETTING {setting} = {value}")
    try:
        yield
    finally:
        with stack.house() as house:
            house.execute(f"ALTER TABLE facts RESET SETTING {setting}")


def inserts_drift(stack: Stack, _: Random) -> str:
    """Have inserts wait in the server's memory, and be taken twice; kill the loader meanwhile."""
    with profile(stack, ASYNC):
        stack.meet()
        kill(stack.supervisor.find("loader"))
        stack.meet()
    stack.flow()
    return ""


def is_read_only(stack: Stack, _: Random) -> str:
    """Let nobody write."""
    with profile(stack, READ_ONLY):
        loader = stack.supervisor.find("loader")
        before = loader.restarts
        wait(lambda: loader.restarts > before, "the loader to refuse")
        stack.meet()
    stack.flow()
    return ""


def has_too_many_parts(stack: Stack, _: Random) -> str:
    """Have the table refuse inserts for its parts; the loader goes on, or ends and comes back."""
    with stack.house() as house, table(stack, "parts_to_throw_insert", 1):
        offset = "SELECT max(loaded_at) FROM facts"
        wait(lambda: _is_behind(stack), "the loader to be refused")
        before = house.query(offset)
        stack.meet(20)
        assert house.query(offset) == before, "facts were loaded in spite of it"
    stack.flow()
    return ""


def _is_behind(stack: Stack) -> bool:
    return any(each.startswith("load ") for each in stack.behind())


def forgets_tokens(stack: Stack, _: Random) -> str:
    """Have the table forget what was inserted before; a loader that starts refuses it."""
    with stack.house() as house:
        ((made,),) = house.query("SHOW CREATE TABLE facts")
    window = int(made.partition(f"{WINDOW} = ")[2].split(",")[0].split()[0])
    loader = stack.supervisor.find("loader")
    with stack.house() as house:
        house.execute(f"ALTER TABLE facts MODIFY SETTING {WINDOW} = 0")
    try:
        kill(loader)
        before = loader.restarts
        wait(lambda: loader.restarts > before, "the loader to refuse")
    finally:
        with stack.house() as house:
            house.execute(f"ALTER TABLE facts MODIFY SETTING {WINDOW} = {window}")
    stack.flow()
    return ""


FAULTS = (
    Fault("ClickHouse inserts asynchronously", inserts_drift, ci=1, nightly=5),
    Fault("ClickHouse is read-only", is_read_only, ci=1, nightly=5),
    Fault("ClickHouse has too many parts", has_too_many_parts, ci=1, nightly=5),
    Fault("ClickHouse forgets tokens", forgets_tokens, ci=1, nightly=5),
)
