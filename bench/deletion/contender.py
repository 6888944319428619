"""One measure in a process of its own: ``python -m bench.deletion.contender NAME``."""

from functools import partial

from bench.deletion.measures import MEASURES, Result
from bench.deletion.pipeline import Pipeline
from bench.suite import contend
from streams.shared import Shared


def _run(name: str, shared: Shared, scale: float) -> Result:
    return MEASURES[name](Pipeline(shared), scale)


if __name__ == "__main__":
    contend(__doc__, {name: partial(_run, name) for name in MEASURES})
