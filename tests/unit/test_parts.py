"""Where the parts of a worker are, and that a small worker is small."""

import subprocess
import sys
from importlib import import_module

import pytest

from streams.parts import MODULES, OF_A_POLICY, PARTS, loop_of


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_the_parts_that_are_looked_for_there(module: str) -> None:
    loops = import_module(module).LOOPS
    assert tuple(loops) == tuple(MODULES[module])
    assert all(loop_of(each) is loops[each] for each in MODULES[module])


def test_no_part_is_named_twice() -> None:
    assert len({*PARTS}) == len(PARTS)
    assert {*PARTS} > OF_A_POLICY > {"deliver", "consent"}


def test_who_deletes_has_neither_towns_nor_matrices_in_memory() -> None:
    code = (
        "import sys; import streams.run; from streams.parts import loop_of\n"
        "for each in ('cases', 'closures', 'delete', 'receipts'): loop_of(each)\n"
        "print(*sorted({'scipy', 'pyarrow', 'aiohttp'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split() == []
