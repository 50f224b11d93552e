"""Tokenizing beside Hugging Face tokenizers and datatrove, in one run: are the ids the same, and what does a core do?

    python -m benchmarks.tokenize --sources 'sources/*.jsonl.gz' --repeats 3

Four contenders: our encoder and the one of `tokenizers` (built from the same files, `encode_batch_fast`, one thread)
on batches of 1,000 texts; and the whole way from JSONL to shards, ours (`mixtures tokenize`) and datatrove's
(`JsonlReader` and `DocumentTokenizer` with that same tokenizer, not shuffled). Each runs in a process of its own, in
turn; CPU time of the work itself without loading, and the most memory that the process held. The ids of the encoders
and the `.ds` files of the others must be equal, byte by byte, or the status is 1. Prints a table and last one JSON row.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import itertools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.command import table
from common.documents import expand, read_rows
from common.tokenizer import END_OF_TEXT, hugging_face_tokenizer, load_tokenizer

BATCH = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", required=True, help="glob of JSONL files with id and text")
    parser.add_argument("--documents", type=int, help="of each file, only so many")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--contender", choices=CONTENDERS, help="(used by the benchmark itself) run one, once")
    options = parser.parse_args(arguments)
    if options.contender:
        print(json.dumps(run(CONTENDERS[options.contender], Path(options.sources))))
        return 0

    with tempfile.TemporaryDirectory() as folder:
        size = gather(options.sources, options.documents, Path(folder))
        results: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
        for _, name in itertools.product(range(options.repeats), CONTENDERS):
            results[name].append(in_a_process(name, folder))
    rows = [row(name, results, size) for name in CONTENDERS]
    print(table(rows))
    equal = [len({r["digest"] for name in pair for r in results[name]}) == 1 for pair in PAIRS]
    print(f"same ids: {'yes' if equal[0] else 'NO'}; same files: {'yes' if equal[1] else 'NO'}")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    head = {"benchmark": "tokenize", "commit": commit.stdout.strip()}
    print(json.dumps(head | machine | vars(options) | {"bytes": size, "same": equal, "rows": rows}))
    return 0 if all(equal) else 1


def gather(sources: str, documents: int | None, folder: Path) -> int:
    """Write the documents as plain JSONL, one file a source; the bytes of all texts."""
    size = 0
    for path in expand(sources):
        with open(folder / f"{Path(path).name.split('.')[0]}.jsonl", "w", encoding="utf-8") as stream:
            for document in itertools.islice(read_rows(path, ("id", "text")), documents):
                size += len(document["text"].encode("utf-8", "replace"))
                stream.write(json.dumps({"id": str(document["id"]), "text": document["text"]}) + "\n")
    return size


def in_a_process(name: str, folder: str) -> dict[str, Any]:
    """Run a contender in a process of its own, on one core."""
    command = [sys.executable, "-m", "benchmarks.tokenize", "--contender", name, "--sources", folder]
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(contender: Callable[[Path], tuple[float, str]], folder: Path) -> dict[str, Any]:
    """CPU seconds, digest of what came out, and the most memory the process has held."""
    seconds, digest = contender(folder)
    return {"s": seconds, "digest": digest, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def row(name: str, results: dict[str, list[dict[str, Any]]], size: int) -> dict[str, Any]:
    """A line of the table: the rate, its spread, memory, and how many times as fast ours of the same kind is."""
    rates = [size / result["s"] / 1e6 for result in results[name]]
    ours = next(pair[0] for pair in PAIRS if name in pair)
    best = statistics.median(size / result["s"] / 1e6 for result in results[ours])
    return {
        "contender": name,
        "MB/s/core": statistics.median(rates),
        "least": min(rates),
        "most": max(rates),
        "ours is": best / statistics.median(rates),
        "peak MB": statistics.median(result["peak_mb"] for result in results[name]),
    }


def our_encoder(folder: Path) -> tuple[float, str]:
    tokenizer = load_tokenizer()
    return encoded(folder, tokenizer.encode_batch)


def peer_encoder(folder: Path) -> tuple[float, str]:
    backend = hugging_face_tokenizer().backend_tokenizer
    return encoded(folder, lambda texts: [e.ids for e in backend.encode_batch_fast(texts, add_special_tokens=False)])


def encoded(folder: Path, encode: Callable[[list[str]], list[Any]]) -> tuple[float, str]:
    """Seconds to encode, and a digest of all ids."""
    seconds, digest = 0.0, hashlib.sha256()
    for texts in batches(folder):
        start = time.process_time()
        ids = encode(texts)
        seconds += time.process_time() - start
        for one in ids:
            digest.update(np.array([*one, END_OF_TEXT], dtype="<u2").tobytes())
    return seconds, digest.hexdigest()


def batches(folder: Path) -> Iterator[list[str]]:
    texts = (row["text"] for path in sorted(folder.glob("*.jsonl")) for row in read_rows(str(path)))
    while batch := list(itertools.islice(texts, BATCH)):
        yield batch


def our_command(folder: Path) -> tuple[float, str]:
    from mixtures.cli import main

    load_tokenizer()
    with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
        start = time.process_time()
        status = main(["tokenize", str(folder), "--out", f"{out}/shards", "--held-out-fraction", "0"])
        seconds = time.process_time() - start
        assert status == 0, "the command says why on stderr"
        return seconds, digest_of(Path(out) / "shards")


def peer_command(folder: Path) -> tuple[float, str]:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import DocumentTokenizer

    with tempfile.TemporaryDirectory() as out:
        hugging_face_tokenizer().backend_tokenizer.save(f"{out}/tokenizer.json")
        writer = DocumentTokenizer(
            f"{out}/shards", f"{out}/tokenizer.json", eos_token="<|endoftext|>", shuffle_documents=False
        )
        reader = JsonlReader(str(folder), glob_pattern="*.jsonl")
        start = time.process_time()
        LocalPipelineExecutor([reader, writer], tasks=1, logging_dir=f"{out}/logs").run()
        return time.process_time() - start, digest_of(Path(out) / "shards")


def digest_of(shards: Path) -> str:
    """Of the tokens of a folder."""
    digest = hashlib.sha256()
    for path in sorted(shards.rglob("*.ds")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


CONTENDERS = {
    "edusieve, encoder": our_encoder,
    "tokenizers, encoder": peer_encoder,
    "edusieve, JSONL to shards": our_command,
    "datatrove, JSONL to shards": peer_command,
}
PAIRS = [tuple(list(CONTENDERS)[:2]), tuple(list(CONTENDERS)[2:])]

if __name__ == "__main__":
    sys.exit(main())
