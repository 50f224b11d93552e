"""Kill `classifiers annotate` at random moments, and count gradings and cost against what the server saw.

    python -m benchmarks.annotate_kills --kills 50 --windows 2000

Each turn starts the command, waits for a random number of requests to reach a local server that speaks the chat
protocol, then sends SIGKILL (some turns die before their first request). The last turn runs to the end. Every window
must have one grade in the labels and one in the journal; the cost must be the price of one answer times the windows. A
request that was in flight at a kill may be asked again: the journal names each, and their number is at most
kills × concurrency. Prints the counts and last one JSON row; exit status 1 if one does not hold.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common.command import table
from tests.classifiers.annotate_kills import kill_and_count


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts = kill_and_count(Path(folder), options.kills, options.windows, options.seed)
    print(table([{"what": name, "value": value} for name, value in counts.items()]))
    good = (
        counts["windows_labelled_once"] == counts["gradings_in_journal"] == counts["labels"] == options.windows
        and counts["gradings_counted_twice"] == counts["asked_again_without_a_trace"] == 0
        and counts["same_bytes_as_unbroken"]
        and counts["paid_usd"] == counts["windows_times_price_usd"]
        and counts["in_flight_at_a_kill"] <= counts["in_flight_bound"]
    )
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    took = {"seed": options.seed, "seconds": round(time.monotonic() - start, 1), "holds": good}
    print(json.dumps({"benchmark": "annotate_kills", "commit": commit.stdout.strip()} | machine | counts | took))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
