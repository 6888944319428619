"""One measure in a process of its own: ``python -m bench.load.contender NAME``."""

from bench.load.measures import MEASURES
from bench.suite import contend

if __name__ == "__main__":
    contend(__doc__, MEASURES)
