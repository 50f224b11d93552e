"""Near-duplicates: what is found of all similar pairs, of planted copies, and beside datatrove's own stages.

    python -m benchmarks.minhash --crawl 'crawl/pages-0*.warc.gz' --pool labels/pool.jsonl.gz

The truth is the exact Jaccard similarity of the 5-word shingles of *all* pairs, from an inverted index over shingles
that are made here from strings, by the definition. Against it stand our pairs; copies planted by editing, framing and
cutting documents; and datatrove's own stages on a part of the documents (many that have a relative, and others),
whose first stage is timed beside ours, each in a process of its own that starts cold. Last, the clustering alone is
run on signatures made up for ``--scale`` documents. Prints tables, and last one JSON row.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import platform
import random
import re
import struct
import subprocess
import tempfile
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rules import read_texts, spread
from common.command import table
from common.documents import read_documents
from filters.job import MinHash
from filters.minhash import KEYS, MARKS, Signer, estimates
from filters.near_duplicates import first_alike

SETTINGS = MinHash()
WORDS, LEAST = SETTINGS.words, SETTINGS.min_similarity
ORDERS = SETTINGS.buckets * SETTINGS.hashes
Pairs = dict[tuple[int, int], float]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawl", required=True, help="glob of WARC files")
    parser.add_argument("--pool", required=True, help="more documents, JSONL")
    parser.add_argument("--planted", type=int, default=200, help="documents to plant copies of")
    parser.add_argument("--peer", type=int, default=1200, help="documents that datatrove is run on")
    parser.add_argument("--scale", type=int, default=1_000_000, help="made-up signatures to cluster")
    options = parser.parse_args(arguments)

    texts = [*read_texts(options.crawl, "resiliparse"), *(one["text"] for one in read_documents(options.pool))]
    texts = [text.encode("utf-8", "replace").decode() for text in texts if text.strip()]
    exact = similar_pairs(texts)
    rows = {"pairs": pairs_found(texts, exact), "planted": planted(texts, options.planted)}
    related = spread([pair for pair, value in sorted(exact.items()) if value >= 0.5], options.peer * 3 // 8)
    chosen = {place for pair in related for place in pair}
    others = spread(sorted(set(range(len(texts))) - chosen), max(0, options.peer - len(chosen)))
    part = sorted([*chosen, *others])
    rows |= beside_datatrove([texts[place] for place in part], within(exact, part))
    rows["clustering"] = [in_a_process(cluster_made_up, options.scale)]
    for name, found in rows.items():
        print(f"{name}\n{table(found)}\n")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    head = {"benchmark": "minhash", "commit": commit.stdout.strip(), "documents": len(texts)}
    print(json.dumps(head | machine | vars(options) | rows))


def shingle_set(text: str) -> set[int]:
    """The runs of words of a text by their definition, each as Python's hash of the words."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    words = re.findall(r"[^\W_]+", re.sub(r"\d+(?:[.,]\d+)?", "0", plain))
    length = min(WORDS, len(words))
    return {hash(run) for run in zip(*(words[place:] for place in range(length)), strict=False)}


def similar_pairs(texts: Sequence[str], least: float = 0.3) -> Pairs:
    """Exact similarity of every pair from ``least`` on, the earlier document first."""
    from scipy.sparse import csr_matrix

    sets = [np.fromiter(shingle_set(text), dtype=np.int64) for text in texts]
    sizes = np.array(list(map(len, sets)))
    _, columns, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    shared = counts[columns] > 1
    rows = np.repeat(np.arange(len(sets)), sizes)[shared]
    found = csr_matrix((np.ones(len(rows), dtype=np.int32), (rows, columns[shared])), (len(sets), len(counts)))
    common = (found @ found.T).tocoo()
    upper = common.row < common.col
    one, other, both = common.row[upper], common.col[upper], common.data[upper]
    value = both / (sizes[one] + sizes[other] - both)
    near = value >= least
    return dict(zip(zip(one[near].tolist(), other[near].tolist(), strict=True), value[near].tolist(), strict=True))


def signed(texts: Sequence[str]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Keys and marks of texts: uint64[n, buckets], uint8[n, orders]."""
    signer = Signer(SETTINGS)
    minima = [signer.minima(text) for text in texts]
    return np.array(list(map(signer.keys, minima))), np.array(list(map(signer.marks, minima)))


def our_pairs(texts: Sequence[str]) -> Pairs:
    """Every pair that shares a bucket, with its estimated similarity."""
    keys, marks = signed(texts)
    compared = set()
    for column in keys.T:
        order = np.argsort(column, kind="stable")
        for _, group in itertools.groupby(order.tolist(), key=column.__getitem__):
            compared |= set(itertools.combinations(group, 2))
    by_agreement = estimates(ORDERS)
    return {(a, b): float(by_agreement[np.count_nonzero(marks[a] == marks[b])]) for a, b in compared}


def pairs_found(texts: Sequence[str], exact: Pairs) -> list[dict[str, Any]]:
    """Precision and recall of pairs, as FineWeb takes them (any shared bucket) and with a least similarity."""
    estimated, rows = our_pairs(texts), []
    for name, least in (("any shared bucket", 0.0), ("default", LEAST), ("stricter", 0.8)):
        found = {pair for pair, value in estimated.items() if value >= least}
        row: dict[str, Any] = {"alike": name, "min_similarity": least, "found": len(found)}
        for bound in (0.8, 0.75):
            true = {pair for pair, value in exact.items() if value >= bound}
            row[f"recall {bound}"] = len(found & true) / len(true)
            row[f"precision {bound}"] = len(found & true) / len(found)
        row["precision 0.7"] = sum(exact.get(pair, 0) >= 0.7 for pair in found) / len(found)
        rows.append(row)
    return rows


def planted(texts: Sequence[str], count: int) -> list[dict[str, Any]]:
    """What is found of copies that were changed in one way each, and how similar those copies are."""
    middling = spread([text for text in texts if 1_000 <= len(text) <= 20_000], 2 * count)
    chosen, frames = middling[::2], middling[1::2]
    draw = random.Random(0)

    def replaced(share: float) -> Callable[[str, str], str]:
        return lambda text, _: re.sub(r"\w+", lambda word: "other" if draw.random() < share else word[0], text)

    def framed(share: float) -> Callable[[str, str], str]:
        def change(text: str, frame: str) -> str:
            half = int(share * len(text) / 2)
            return f"{frame[:half]}\n{text}\n{frame[half : 2 * half]}"

        return change

    def cut(share: float) -> Callable[[str, str], str]:
        return lambda text, _: text[: int(share * len(text))]

    changes = {f"{share:.0%} of the words replaced": replaced(share) for share in (0.01, 0.02, 0.05, 0.1, 0.2)}
    changes |= {f"{share:.0%} boilerplate around it": framed(share) for share in (0.1, 0.2, 0.3, 0.5)}
    changes |= {f"its first {share:.0%}": cut(share) for share in (0.9, 0.8, 0.7, 0.5)}
    changes["case, punctuation, line breaks, numbers"] = lambda text, _: re.sub(
        r"\d+", "7", re.sub(r"[^\w\s]", " ; ", text.upper())
    ).replace(" ", "\n")
    originals, rows = [shingle_set(text) for text in chosen], []
    for name, change in changes.items():
        copies = [change(text, frame) for text, frame in zip(chosen, frames, strict=False)]
        exact = [
            len(one & other) / len(one | other) for one, other in zip(originals, map(shingle_set, copies), strict=True)
        ]
        estimated = our_pairs([text for pair in zip(chosen, copies, strict=True) for text in pair])
        found = np.array([estimated.get((2 * place, 2 * place + 1), 0) >= LEAST for place in range(len(chosen))])
        similar = np.array(exact) >= 0.8
        rows.append({
            "copy": name,
            "mean similarity": float(np.mean(exact)),
            "found": float(found.mean()),
            "similar ≥ 0.8": int(similar.sum()),
            "of these found": float(found[similar].mean()) if similar.any() else None,
        })  # fmt: skip
    return rows


def beside_datatrove(texts: Sequence[str], exact: Pairs) -> dict[str, list[dict[str, Any]]]:
    """Who is dropped by both, how like one that is kept they are, and the cost of the first stage."""
    ours, _ = our_copies(texts)
    dropped = {"ours": set(np.flatnonzero(ours != np.arange(len(texts))).tolist())}
    shingles: dict[str, Any] = {}
    for files in (1, 4):
        dropped[f"datatrove, {files} file(s)"] = dropped_by_datatrove(texts, files, shingles)
    rows = []
    for name, gone in dropped.items():
        best = [similarity_to_kept(place, gone, exact) for place in sorted(gone)]
        left = [pair for pair, value in exact.items() if value >= 0.8 and not gone & set(pair)]
        rows.append({
            "who": name,
            "dropped": len(gone),
            "also by ours": len(gone & dropped["ours"]),
            "also by datatrove": len(gone & dropped["datatrove, 1 file(s)"]),
            "like a kept one ≥ 0.75": sum(value >= LEAST for value in best),
            "least like": min(best),
            "kept pairs ≥ 0.8": len(left),
        })  # fmt: skip
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(text) + "\n" for text in spread(list(texts), 500))
        file.flush()
        cost = {name: in_a_process(sign, (name, file.name)) for name in ("nothing", "ours", "datatrove")}
    libraries = cost.pop("nothing")["peak MB"]
    speed = [
        {"first stage": name, **row, "ratio": cost["ours"]["documents/s"] / row["documents/s"],
         "MB beside libraries": row["peak MB"] - libraries}
        for name, row in cost.items()
    ]  # fmt: skip
    return {"dropped documents": rows, "signatures": speed}


def similarity_to_kept(place: int, gone: set[int], exact: Pairs) -> float:
    """The highest exact similarity of a dropped document to one that is kept; 0 below that of ``exact``."""
    return max((value for pair, value in exact.items() if place in pair and len(gone & set(pair)) == 1), default=0.0)


def within(exact: Pairs, part: Sequence[int]) -> Pairs:
    """Pairs of a part of the documents, by their places in it."""
    new = {place: number for number, place in enumerate(part)}
    return {(new[a], new[b]): value for (a, b), value in exact.items() if a in new and b in new}


def our_copies(texts: Sequence[str]) -> tuple[Any, Any]:
    """As a job finds them."""
    keys, marks = signed(texts)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / KEYS, keys.T)
        np.save(Path(folder) / MARKS, marks)
        return first_alike([Path(folder)], np.ones(len(texts), dtype=bool), LEAST)


def dropped_by_datatrove(texts: Sequence[str], files: int, shingles: dict[str, Any]) -> set[int]:
    """The documents that datatrove's stages remove when they lie in so many files, in the same order."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster
    from datatrove.pipeline.dedup.minhash import MinhashDedupSignature
    from loguru import logger

    class Remembering(MinhashDedupSignature):  # type: ignore[misc]  # spaCy reads every text once
        def get_shingles(self, text: str) -> Any:
            if text not in shingles:
                shingles[text] = super().get_shingles(text)
            return shingles[text]

    logger.disable("datatrove")
    config = MinhashConfig()
    bounds = [len(texts) * file // files for file in range(files + 1)]
    gone = set()
    with tempfile.TemporaryDirectory() as folder:
        signer = Remembering(f"{folder}/signatures", config)
        for file, (low, high) in enumerate(itertools.pairwise(bounds)):
            signer.run((Document(text=text, id="") for text in texts[low:high]), rank=file)
        for bucket in range(config.num_buckets):
            MinhashDedupBuckets(f"{folder}/signatures", f"{folder}/pairs", config=config, lines_to_buffer=1000).run(
                rank=bucket, world_size=config.num_buckets
            )
        MinhashDedupCluster(f"{folder}/pairs", f"{folder}/remove", config=config).run(world_size=1)
        for file, low in enumerate(bounds[:-1]):
            path = Path(folder) / "remove" / f"{file:06d}.remove"
            if path.exists():
                gone |= {low + row for (row,) in struct.iter_unpack("<I", path.read_bytes())}
    return gone


def sign(side_and_path: tuple[str, str]) -> dict[str, Any]:
    """Sign the texts of a file of JSON strings; CPU time without loading and reading."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from loguru import logger

    logger.disable("datatrove")
    side, path = side_and_path

    def texts() -> Any:
        with open(path, encoding="utf-8") as lines:
            yield from map(json.loads, lines)

    with tempfile.TemporaryDirectory() as folder:
        signer, peer = Signer(SETTINGS), MinhashDedupSignature(folder)
        peer.get_shingles("Load what is loaded once.")
        signer.minima("Load what is loaded once.")
        start = time.process_time()
        count = sum(1 for _ in texts())
        reading, start = time.process_time() - start, time.process_time()
        if side == "ours":
            for text in texts():
                minima = signer.minima(text)
                signer.keys(minima), signer.marks(minima)
        elif side == "datatrove":
            peer.run(Document(text=text, id="") for text in texts())
        seconds = time.process_time() - start - reading
    return {"documents": count, "documents/s": count / seconds if side != "nothing" else None}


def cluster_made_up(count: int) -> dict[str, Any]:
    """Cluster made-up signatures: 30% of the documents stand in clusters of four of similarity 0.9."""
    draw = np.random.default_rng(0)
    original = np.arange(count)
    copies = np.flatnonzero(draw.random(count) < 0.3)
    original[copies] = copies[np.arange(len(copies)) // 4 * 4]
    same_hash = 0.9**0.5  # as the original's, so that two copies agree on 0.9 of them
    with tempfile.TemporaryDirectory() as folder:
        keys = np.lib.format.open_memmap(f"{folder}/{KEYS}", "w+", np.uint64, (SETTINGS.buckets, count))
        for row in keys:
            numbers, others = draw.integers(0, 2**63, (2, count), dtype=np.uint64)
            row[:] = np.where(draw.random(count) < same_hash**SETTINGS.hashes, numbers[original], others)
        marks = np.lib.format.open_memmap(f"{folder}/{MARKS}", "w+", np.uint8, (count, ORDERS))
        for start in range(0, count, 10_000):
            theirs = original[start : start + 10_000, None] * np.arange(1, 2 * ORDERS, 2)
            same = draw.random(theirs.shape) < same_hash
            marks[start : start + 10_000] = np.where(same, theirs, draw.integers(0, 256, theirs.shape))
        del keys, marks, numbers, others
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before, start_time = memory_mb("VmRSS"), time.process_time()
        first, _ = first_alike([Path(folder)], np.ones(count, dtype=bool), LEAST)
        seconds = time.process_time() - start_time
    return {
        "documents": count,
        "dropped": int((first != np.arange(count)).sum()),
        "CPU seconds": seconds,
        "bytes a document": (memory_mb("VmHWM") - before) * 2**20 / count,
    }


def in_a_process(work: Callable[[Any], Mapping[str, Any]], argument: Any) -> dict[str, Any]:
    """What ``work`` gives in a new process, and the process's peak memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_and_peak, (work, argument))


def _and_peak(work: Callable[[Any], Mapping[str, Any]], argument: Any) -> dict[str, Any]:
    return {**work(argument), "peak MB": memory_mb("VmHWM")}


def memory_mb(what: str) -> float:
    """VmRSS or VmHWM (the peak) of this process; getrusage tells a peak that is inherited from the parent."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
