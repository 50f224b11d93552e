"""Run the main job end to end on the sample crawl, and show every command that does it.

    python -m demo --out demo-out

Each step is the command line that a person would type; a second run finds the finished steps and repeats nothing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from common.files import publish_file
from demo.crawl import write_crawl

MIXTURES = ("phi_1_5", "web_only", "web")
BUDGET_TOKENS = 30_000
TRAIN_TOKENS = 98_304
TRAINING = "--model nano --context-length 256 --batch.windows 32 --batch.micro-windows 16 --optimizer.learning-rate 2e-3"
# Modules of the standard library that read as programs, not as tables.
CODE = "argparse,ast,bisect,calendar,collections,csv,dataclasses,fractions,functools,heapq,json,random,statistics,string,textwrap"

JOB = """\
# The job that turned the sample crawl into a corpus. The same file works on a laptop and on a cluster.
input: {folder}/crawl/*.warc.gz
output: {folder}/corpora/web
extract: resiliparse
language: {{keep: [en], min_probability: 0.65}}
rules: [gopher_repetition, gopher_quality, c4, fineweb]
deduplicate: {{exact: true}}
classifier: default
budget_tokens: {budget}
executor: {{kind: local, workers: 2}}
max_lost_fraction: 0.05
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m demo", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for everything that is made")
    folder: Path = parser.parse_args().out
    start = time.perf_counter()
    _say("A sample crawl: pages of invented sites, in the clutter of real ones, some of them broken")
    for path in write_crawl(folder / "crawl"):
        print(f"  {path}  {path.stat().st_size:,} bytes")
    _write(folder / "job.yaml", JOB.format(folder=folder, budget=BUDGET_TOKENS))

    _say("From the crawl to a corpus of an exact token budget")
    _run(f"filters run {folder}/job.yaml")

    _say("From documents to tokens")
    library = Path(sysconfig.get_path("stdlib"))
    code = _copy_code(library, folder / "sources" / "code")
    _run(f"mixtures tokenize {folder}/corpora/web --out {folder}/tokens/web --held-out-fraction 0.1")
    _run(f"mixtures tokenize {code} --text-files *.py --out {folder}/tokens/code --held-out-fraction 0.1")
    textbook = Path(__file__).parent / "textbook"
    _run(f"mixtures tokenize {textbook} --text-files *.md --out {folder}/tokens/synthetic --held-out-fraction 0.1")

    _say("One trainer, three blends")
    for name in MIXTURES:
        _run(
            f"train --mixture {name} --data {folder}/tokens --out {folder}/runs/{name} --tokens {TRAIN_TOKENS} {TRAINING}"
        )

    _say("What the data was worth")
    results = " ".join(f"{folder}/results/{name}" for name in MIXTURES)
    for name in MIXTURES:
        _run(f"evals run {folder}/runs/{name} --out {folder}/results/{name}")
    _run(f"evals compare {results}")
    _run(f"evals report {results} --out {folder}/comparison.html")
    print(_CLOSING.format(folder=folder, seconds=time.perf_counter() - start))
    return 0
