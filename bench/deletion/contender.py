"""One measure in a process of its own: ``python -m bench.deletion.contender NAME``.

Takes the engines' addresses from the environment, and prints one line of JSON.
"""

import argparse
import json

from bench.deletion.measures import MEASURES
from bench.deletion.pipeline import Pipeline
from streams.run import spare_collector
from streams.settings import load
from streams.shared import Shared


def main() -> None:
    """Run one measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=MEASURES)
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    spare_collector()
    shared = Shared(load())
    print(json.dumps(MEASURES[arguments.name](Pipeline(shared), arguments.scale)))
    shared.ledger.close()


if __name__ == "__main__":
    main()
