"""Settings of ClickHouse that drift: what the loader rests on is changed behind its back.

It pins what it can with each insert, and refuses to work where it cannot (``FactsWriter.check``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from tests.chaos.faults import Fault, kill
from tests.chaos.stack import Stack, wait

PROFILE = "<lethe>"
ASYNC = (
    "<async_insert>1</async_insert><wait_for_async_insert>0</wait_for_async_insert>"
    "<insert_deduplicate>0</insert_deduplicate>"
)
READ_ONLY = "<readonly>1</readonly>"
WINDOW = "non_replicated_deduplication_window"


@contextmanager
def profile(stack: Stack, settings: str) -> Iterator[None]:
    """Have the users of Lethe log in to other settings, until the block ends."""
    (folder,) = {each.parent for each in stack.ground.folders if each.name == "clickhouse"}
    file = folder / "clickhouse-users.xml"
    before = file.read_text()
    head, found, tail = before.partition(PROFILE)
    assert found
    names = [each.partition(">")[0] for each in settings.split("<") if each[:1].isalpha()]
    for name in names:  # the first of two would count
        start, had, rest = tail.partition(f"<{name}>")
        tail = start + rest.partition(f"</{name}>")[2] if had else tail
    file.write_text(head + found + settings + tail)
    try:
        kill(stack.clickhouse)
        yield
    finally:
        file.write_text(before)
        kill(stack.clickhouse)


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
    """Have the table refuse inserts for its parts, longer than the loader is patient."""
    with table(stack, "parts_to_throw_insert", 1):
        loader = stack.supervisor.find("loader")
        before = loader.restarts
        wait(lambda: loader.restarts > before, "the loader to give up")
        stack.meet()
    stack.flow()
    return ""


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
    Fault("ClickHouse inserts asynchronously", inserts_drift, ci=1, nightly=10),
    Fault("ClickHouse is read-only", is_read_only, ci=1, nightly=10),
    Fault("ClickHouse has too many parts", has_too_many_parts, ci=1, nightly=10),
    Fault("ClickHouse forgets tokens", forgets_tokens, ci=1, nightly=10),
)
