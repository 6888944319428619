"""What is measured, each in a process of its own: ``python -m bench.ads.contender NAME...``.

``routing``, or providers to deliver to. Prints one line of JSON.
"""

import argparse
import json
import tempfile
from pathlib import Path

from bench.ads.delivery import LOADS, deliver
from bench.ads.routing import routing
from streams.run import spare_collector


def main() -> None:
    """Run one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=("routing", *LOADS))
    parser.add_argument("--standins", metavar="URL")
    arguments = parser.parse_args()
    spare_collector()
    if arguments.names == ["routing"]:
        result = routing()
    else:
        with tempfile.TemporaryDirectory() as folder:
            result = deliver(arguments.names, arguments.standins, Path(folder))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
