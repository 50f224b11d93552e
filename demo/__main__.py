"""Run the main job end to end on the sample crawl, and show every command that does it.

    python -m demo --out demo-out

Each step is the command line that a person would type. A second run finds the finished steps and repeats nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from common.files import publish_file
from demo.crawl import write_crawl

MIXTURES = ("phi_1_5", "web_only", "web")
BUDGET_TOKENS = 25_000
HELD_OUT_FRACTION = 0.1
TRAIN_TOKENS = 65_536
TRAINING = "--context-length 256 --batch.windows 8 --optimizer.learning-rate 5e-3"
TEXTBOOKS = Path(__file__).parent / "textbook"
BIN = Path(sys.executable).parent

JOB = """\
# The job that turned the sample crawl into a corpus. The same file works for a real crawl.
input: {folder}/crawl/*.warc.gz
output: {folder}/corpora/web
extract: resiliparse
language: {{keep: [en], min_probability: 0.65}}
# every bound of a rule can be set: pages as short as these hold more punctuation for each word than most
rules: [gopher_repetition, {{gopher_quality: {{min_alphabetic_token_fraction: 0.7}}}}, c4, fineweb]
deduplicate: {{exact: true}}
classifier: default
budget_tokens: {budget}
executor: {{kind: local, workers: 2}}
max_lost_fraction: 0.05
"""

CLOSING = """
Done in {minutes:.1f} minutes. Open these pages in a browser:

  {folder}/corpora/web/report.html   what was kept, what was dropped, and why
  {folder}/comparison.html           what each mixture was trained on, and what it was worth

Why was a page dropped?   {bin}/filters why {folder}/corpora/web https://keyhaven-stays.example/stay/hotel-belmar
For your own crawl, change `input`, `output` and `budget_tokens` in {folder}/job.yaml, then:

  {bin}/filters run {folder}/job.yaml
"""


def main() -> int:
    """Run every step; stop at the first that fails, with its exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=Path("demo-out"), help="folder for everything that is made")
    folder: Path = parser.parse_args().out
    start = time.perf_counter()
    try:
        _steps(folder)
    except subprocess.CalledProcessError as failed:
        print(f"\ndemo: `{shlex.join(failed.cmd)}` ended with status {failed.returncode}", file=sys.stderr)
        return failed.returncode
    minutes = (time.perf_counter() - start) / 60
    print(CLOSING.format(folder=folder, minutes=minutes, bin=_shortest(BIN)))
    return 0


def _steps(folder: Path) -> None:
    _say("A sample crawl: pages of invented sites, in the clutter of real ones, some of them broken")
    for path in write_crawl(folder / "crawl"):
        print(f"  {path}  {path.stat().st_size:,} bytes")
    with publish_file(folder / "job.yaml") as temporary:
        temporary.write_text(JOB.format(folder=folder, budget=BUDGET_TOKENS), encoding="utf-8")
    # Files of the standard library that stand for the code source: its plain modules.
    code = _copies(sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")), folder / "sources" / "code")

    _say("From the crawl to a corpus of an exact token budget")
    _run(f"filters run {folder}/job.yaml")

    _say("From documents to tokens; one document in ten is held out to measure with")
    for name, corpus in (
        ("web", f"{folder}/corpora/web"),
        ("code", f"{code} --text-files *.py"),
        ("synthetic", f"{_sections(folder / 'sources' / 'synthetic.jsonl')}"),
    ):
        _run(f"mixtures tokenize {corpus} --out {folder}/tokens/{name} --held-out-fraction {HELD_OUT_FRACTION}")
    _run(f"mixtures show web --data {folder}/tokens --tokens {TRAIN_TOKENS} --context-length 256")

    _say("One trainer, three blends")
    for name in MIXTURES:
        _run(
            f"train --mixture {name} --data {folder}/tokens --out {folder}/runs/{name} --model nano "
            f"--tokens {TRAIN_TOKENS} {TRAINING}"
        )

    _say("What the data was worth")
    runs = " ".join(f"{folder}/runs/{name}" for name in MIXTURES)
    _run(f"evals run {runs} --out {folder}/results --max-documents 8")
    _run(f"evals compare {folder}/results")
    _run(f"evals report {folder}/results --out {folder}/comparison.html")


def _copies(files: list[Path], folder: Path) -> Path:
    for file in files:
        with publish_file(folder / file.name) as temporary:
            temporary.write_bytes(file.read_bytes())
    return folder


def _sections(path: Path) -> Path:
    """The sections of the embedded textbooks, a document each."""
    with publish_file(path) as temporary, open(temporary, "w", encoding="utf-8") as lines:
        for book in sorted(TEXTBOOKS.glob("*.md")):
            for number, section in enumerate(re.split(r"(?m)^(?=# )", book.read_text(encoding="utf-8"))[1:], start=1):
                lines.write(json.dumps({"id": f"{book.stem}-{number}", "text": section.strip()}) + "\n")
    return path


def _run(line: str) -> None:
    """Print a command line and run it with the commands of this environment."""
    words = shlex.split(line)
    print(f"\n$ {line}", flush=True)
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}  # everything that the demo needs is installed
    subprocess.run([BIN / words[0], *words[1:]], check=True, env=environment)


def _say(title: str) -> None:
    print(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n== {title}", flush=True)


def _shortest(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


if __name__ == "__main__":
    sys.exit(main())
