"""Seeking in a blend and reading from shards: milliseconds, bytes, tokens a second; beside an index, and datatrove.

    python -m benchmarks.blend --repeats 15 [--index]

*Seek* is what a resumed run does: make the blend from its settings and find the windows of the last step of the
150B-token run of the mixture `web`, 35,762, at 2,048 windows of 2,048 tokens; the sources are as large as the paper
says (100B tokens of web, 20B synthetic, 7B of code). Memory is the most that Python and numpy allocate meanwhile. With
`--index` the usual way is measured too: a random source for every window of the run and a shuffled index for every
epoch of every source, made by numpy (about 3 GB and half a minute). *Read* reads a blend of shards made for the
purpose, in a process that has read them once before, so that they lie in the page cache; beside it datatrove's own
reader on the same files in their own order. Times are of the process. Prints two tables and last one JSON row.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.command import table
from common.files import file_entries, write_json
from common.tokenizer import END_OF_TEXT, NAME, VOCABULARY_SIZE, load_tokenizer
from mixtures import Blend, load_recipe, open_blend
from mixtures.shards import KIND, content_hash
from train.data import read_part

CONTEXT = 2048
BATCH = 2048
TOKENS = {"web": 100_000_000_000, "code": 7_000_000_000, "synthetic": 20_000_000_000}
RUN_STEPS = -(-150_000_000_000 // (CONTEXT * BATCH))
SEED = 0


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--shard-tokens", type=int, default=100_000_000, help="tokens of each of the three sources")
    parser.add_argument("--steps", type=int, default=20, help="global batches of 2,048 windows that are read a repeat")
    parser.add_argument("--index", action="store_true", help="measure an index in memory too")
    options = parser.parse_args(arguments)

    seeks = [seek("edusieve: nothing kept", options.repeats, our_seek)]
    if options.index:
        seeks.append(seek("an index, by numpy", 1, index_seek))
    with tempfile.TemporaryDirectory() as folder:
        for name in TOKENS:
            write_shards(Path(folder) / name, options.shard_tokens)
        reads = read(Path(folder), options.steps, options.repeats)
    print(table(seeks), table(reads), sep="\n\n")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    head = {"benchmark": "blend", "commit": commit.stdout.strip()}
    print(json.dumps(head | machine | vars(options) | {"seek": seeks, "read": reads}))


def seek(name: str, repeats: int, action: Callable[[], float]) -> dict[str, Any]:
    """Time and memory of finding the windows of the run's last step, from nothing."""
    load_recipe("web")
    times = []
    for _ in range(repeats):
        start = time.process_time()
        strayed = action()
        times.append((time.process_time() - start) * 1000)
    tracemalloc.start()
    action()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"way": name, **spread("ms", times), "peak MB": peak / 1e6, "windows off": strayed}


def our_seek() -> float:
    """The windows of the last step; how far the run's counts are from their shares."""
    weights = load_recipe("web").weights
    blend = Blend(weights, {name: TOKENS[name] // CONTEXT for name in weights}, SEED)
    blend.slots((RUN_STEPS - 1) * BATCH, RUN_STEPS * BATCH)
    return strayed(blend.counts(0, RUN_STEPS * BATCH), weights)


def index_seek() -> float:
    """The same with sources drawn at random and shuffled epochs, all of which a later step needs."""
    weights = load_recipe("web").weights
    random = np.random.default_rng(SEED)
    source = random.choice(len(weights), RUN_STEPS * BATCH, p=[float(weight) for weight in weights.values()])
    counts = dict(zip(weights, np.bincount(source).tolist(), strict=True))
    window = np.empty(len(source), dtype=np.int64)
    for number, (name, count) in enumerate(counts.items()):
        size = TOKENS[name] // CONTEXT
        epochs = [random.permutation(size) for _ in range(-(-count // size))]
        window[source == number] = np.concatenate(epochs)[:count]
    return strayed(counts, weights)


def strayed(counts: dict[str, int], weights: dict[str, Fraction]) -> float:
    """The largest distance of a source's windows from its share of the run."""
    return float(max(abs(count - weights[name] * sum(counts.values())) for name, count in counts.items()))


def read(data: Path, steps: int, repeats: int) -> list[dict[str, Any]]:
    """Million tokens a CPU-second, ours in the order of a blend and datatrove's in the order of the files."""
    from datatrove.utils.dataset import DatatroveFolderDataset

    blend = open_blend("web", data, CONTEXT, SEED)
    peer = DatatroveFolderDataset(str(data / "web"), CONTEXT, filename_pattern="*.ds", token_size=2)

    def ours() -> int:
        return sum(blend.read(step * BATCH, (step + 1) * BATCH)[0].shape[0] for step in range(steps))

    def trained() -> int:
        return sum(len(read_part(blend, step, BATCH).tokens) for step in range(1, steps + 1))

    def theirs() -> int:
        return sum(len(peer[i]["input_ids"]) > 0 for i in range(min(len(peer), steps * BATCH)))

    rows = []
    readers = {
        "edusieve, blend of three": ours,
        "the same with the ledger's fingerprints, as train reads it": trained,
        "datatrove, one folder in order": theirs,
    }
    for name, action in readers.items():
        action()
        rates = []
        for _ in range(repeats):
            start = time.process_time()
            windows = action()
            rates.append(windows * CONTEXT / (time.process_time() - start) / 1e6)
        rows.append({"reader": name, **spread("million tokens/s", rates)})
    return rows


def spread(unit: str, values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {unit: statistics.median(values), "least": min(values), "most": max(values)}


def write_shards(folder: Path, tokens: int) -> None:
    """Random tokens in documents of 500, as ``mixtures tokenize`` would lay them out."""
    folder.mkdir()
    random = np.random.default_rng(len(folder.name))
    row: NDArray[np.uint16] = random.integers(0, END_OF_TEXT, tokens, dtype=np.uint16)
    row[499::500] = row[-1] = END_OF_TEXT
    row.tofile(folder / "part-00000.ds")
    (np.flatnonzero(row == END_OF_TEXT) + 1).astype("<u8").tofile(folder / "part-00000.ds.index")
    digest = load_tokenizer().digest
    entries = file_entries(folder, {"part-00000.ds": tokens // 500, "part-00000.ds.index": tokens // 500})
    tokenizer = {"name": NAME, "digest": digest, "size": VOCABULARY_SIZE}
    head = {"kind": KIND, "tokenizer": tokenizer, "tokens": tokens, "content_hash": content_hash(digest, entries)}
    write_json(folder / "manifest.json", head | {"files": entries})


if __name__ == "__main__":
    main()
