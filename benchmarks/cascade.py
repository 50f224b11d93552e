"""The cascade beside the full model alone: what it sends on, how fast it is, and whether its bound holds.

    classifiers score --input DOCUMENTS --out scores.parquet
    python -m benchmarks.cascade --documents DOCUMENTS --scores scores.parquet

The documents must not have taught the first stage: name those that calibrated it, or new ones. What the full model was
trained on is left out. Two jobs are looked at: these documents alone, and a crawl of a million like them, where chance
has less play and fewer documents need the full model.

*Shares.* At several shares of kept tokens, the threshold being the full model's own: documents that go to the full
model, and tokens decided otherwise than by it. *Resplits.* Half of the documents, drawn anew each time, calibrate; the
others are a job: in how many is the error within the promise? *Speed.* Some documents are scored by both stages, and as
many of those that are sent on by the full model, in turn and one by one, as a job does it; the cascade's time is that
of the first stage, of the full model for the share that is sent on, and of the audit. CPU time of one core, medians of
the repeats. Prints tables, and last one JSON row.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from classifiers.cascade import Cascade
from classifiers.cascade_audit import draw_chances
from classifiers.cascade_making import KEEP_FRACTIONS, LARGE_CRAWL, trained_on
from classifiers.model import EducationalClassifier
from classifiers.scoring import read_blocks
from common.command import table
from common.errors import InputError
from common.tokenizer import load_tokenizer
from filters.cascading import MIN_DRAWS
from filters.job import Cascade as CascadeSettings

SPEED_KEEP = 0.1
WORDS = 230
PROMISE = CascadeSettings()

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Documents:
    """Documents that both stages have scored."""

    texts: Sequence[str]
    tokens: NDArray[np.int64]
    first: NDArray[np.float32]
    full: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, places: NDArray[np.int64]) -> Documents:
        texts = [self.texts[place] for place in places]
        return Documents(texts, self.tokens[places], self.first[places], self.full[places])

    def threshold(self, keep: float) -> float:
        """Of the full model, where this share of the tokens is kept."""
        order = np.argsort(-self.full, kind="stable")
        running = np.cumsum(self.tokens[order])
        return float(self.full[order[int(np.searchsorted(running, keep * running[-1]))]])


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", required=True, nargs="+", help="JSONL or Parquet with id and text")
    parser.add_argument("--scores", required=True, nargs="+", help="what classifiers score made of them")
    parser.add_argument("--classifier", help="classifier directory with a cascade; without it, the default")
    parser.add_argument("--resplits", type=int, default=200)
    parser.add_argument("--timed", type=int, default=300, help="documents to time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="only the JSON row")
    options = parser.parse_args(arguments)

    classifier = EducationalClassifier.load(options.classifier)
    if classifier.cascade is None:
        raise InputError("this classifier has no first stage: make one with classifiers cascade")
    documents = read(options.documents, options.scores, classifier)
    draws = np.random.default_rng(options.seed)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    result = {
        "benchmark": "cascade",
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "full_model": classifier.digest,
        "first_stage": classifier.cascade.digest,
        "megabytes": round(sum(a.nbytes for a in classifier.cascade.arrays().values()) / 1e6, 2),
        "documents": len(documents),
        "correlation": round(float(np.corrcoef(documents.first, documents.full)[0, 1]), 4),
        "shares": [shares(classifier.cascade, documents, keep) for keep in KEEP_FRACTIONS],
        "resplits": [resplit(classifier.cascade, documents, keep, options.resplits, draws) for keep in KEEP_FRACTIONS],
        "speed": speed(classifier, documents, options.timed, options.repeats, draws),
    }
    if not options.json:
        print(f"full model {result['full_model']}, first stage {result['first_stage']}, {result['megabytes']} MB")
        print(f"{len(documents):,} documents, correlation {result['correlation']}\n")
        for name in ("shares", "resplits"):
            print(f"{name}\n{table(result[name])}\n")
        print(f"speed\n{table([{'what': name, 'figure': value} for name, value in result['speed'].items()])}\n")
    print(json.dumps(result))
    return result


def read(sources: Sequence[str], scores: Sequence[str], classifier: EducationalClassifier) -> Documents:
    """The documents that the full model was not trained on, scored by both stages."""
    full: dict[str, float] = {}
    for path in map(Path, scores):
        found = pq.read_table(path)
        by = (found.schema.metadata or {}).get(b"classifier", b"").decode()
        if by != classifier.digest:
            raise InputError(f"{path} holds scores of {by or 'nobody knows what'}, not of {classifier.digest}")
        full |= zip(found["id"].to_pylist(), found["score"].to_pylist(), strict=True)
    known, tokenizer = trained_on(classifier), load_tokenizer()
    rows = {str(row["id"]): row["text"] for source in sources for block in read_blocks(source) for row in block}
    if lacking := sorted(rows.keys() - full.keys()):
        raise InputError(f"document {lacking[0]} has no score in {', '.join(scores)}")
    kept = {name: text for name, text in rows.items() if text.strip() and not known(text)}
    assert classifier.cascade is not None
    texts = list(kept.values())
    return Documents(
        texts,
        np.array([tokenizer.count(text) for text in texts], np.int64),
        classifier.cascade.score(texts),
        np.array([full[name] for name in kept], np.float32),
    )


def undecided(cascade: Cascade, documents: Documents, threshold: float, copies: int = 1) -> Mask:
    """What goes to the full model if there are so many copies of the documents."""
    kept = int(documents.tokens[documents.full >= np.float32(threshold)].sum())
    return cascade.band(documents.first, documents.tokens, threshold, kept, PROMISE, copies=copies).undecided


def error(documents: Documents, sent: Mask, threshold: float) -> float:
    """Tokens decided otherwise than by the full model, of those that it keeps."""
    keeps = documents.full >= np.float32(threshold)
    wrong = ~sent & ((documents.first >= np.float32(threshold)) != keeps)
    return float(documents.tokens[wrong].sum() / documents.tokens[keeps].sum())


def copies_of(documents: Documents) -> int:
    return -(-LARGE_CRAWL // len(documents))


def shares(cascade: Cascade, documents: Documents, keep: float) -> dict[str, Any]:
    threshold = documents.threshold(keep)
    row: dict[str, Any] = {"kept": keep, "threshold": round(threshold, 3)}
    for name, copies in (("alone", 1), ("of a million", copies_of(documents))):
        sent = undecided(cascade, documents, threshold, copies)
        row |= {f"sent, {name}": round(float(sent.mean()), 4)}
        row |= {f"error, {name}": round(error(documents, sent, threshold), 4)}
    return row


def resplit(
    cascade: Cascade, documents: Documents, keep: float, count: int, draws: np.random.Generator
) -> dict[str, Any]:
    """Half calibrates, half is the job."""
    sent, errors = [], []
    for _ in range(count):
        order = draws.permutation(len(documents))
        sample, job = (documents.take(places) for places in np.array_split(order, 2))
        by_score = np.lexsort((sample.full, sample.first))
        calibrated = replace(cascade, sample=np.stack([sample.first[by_score], sample.full[by_score]]))
        threshold = job.threshold(keep)
        found = undecided(calibrated, job, threshold)
        sent.append(float(found.mean()))
        errors.append(error(job, found, threshold))
    low, middle, high = np.quantile(errors, [0.05, 0.5, 0.95])
    return {
        "kept": keep,
        "holds": round(float(np.mean(np.array(errors) <= PROMISE.error_fraction)), 4),
        "sent": round(statistics.median(sent), 4),
        "error 5%": round(float(low), 4),
        "error 50%": round(float(middle), 4),
        "error 95%": round(float(high), 4),
        "error max": round(max(errors), 4),
    }


def speed(
    classifier: EducationalClassifier, documents: Documents, timed: int, repeats: int, draws: np.random.Generator
) -> dict[str, Any]:
    assert classifier.cascade is not None
    threshold = documents.threshold(SPEED_KEEP)
    sizes = {"alone": 1, "of a million": copies_of(documents)}
    sent = {name: undecided(classifier.cascade, documents, threshold, copies) for name, copies in sizes.items()}
    everywhere, dear = draws.permutation(len(documents)), draws.permutation(np.flatnonzero(sent["of a million"]))
    some, dear_ones = (documents.take(places[:timed]).texts for places in (everywhere, dear))
    long = [cut[0] for text in documents.texts if (cut := re.match(rf"(?:\S+\s+){{{WORDS}}}", text))][:1000]
    classifier.warm_up()
    encoder = classifier._encoder
    tokenize, tokenised = encoder.tokenize, 0

    def counted(found: Sequence[str]) -> list[list[int]]:
        nonlocal tokenised
        tokenised += len(found)
        return tokenize(found)

    encoder.tokenize = counted  # type: ignore[method-assign]
    classifier.cascade.score(long[:50])  # the tables are unpacked once
    rounds = []
    for _ in range(repeats):
        student = seconds(lambda: classifier.cascade and classifier.cascade.score(long)) / max(1, len(long))
        first = seconds(lambda: [classifier.cascade and classifier.cascade.score([text]) for text in some]) / len(some)
        full, dear_full = (
            seconds(lambda texts=texts: [classifier.score([text]) for text in texts]) / max(1, len(texts))
            for texts in (some, dear_ones)
        )
        rounds.append((student, first, full, dear_full))
    student, first, full, dear_full = np.median(rounds, axis=0).tolist()
    row: dict[str, Any] = {
        f"first stage, documents/s of {WORDS} words": round(1 / student),
        "first stage, documents/s of these": round(1 / first),
        "full model, documents/s": round(1 / full, 2),
        "full model, documents/s of those sent on": round(1 / dear_full, 2),
        "texts tokenised for the full model, a score": tokenised / (repeats * (len(some) + len(dear_ones))),
    }
    for name, found in sent.items():
        audits = max(MIN_DRAWS / sizes[name], PROMISE.audit_fraction * len(documents))
        audited = draw_chances(np.where(found, 0, documents.tokens), round(audits)).mean()
        seconds_each = first + float(found.mean()) * dear_full + float(audited) * full
        row |= {
            f"cascade at {SPEED_KEEP:.0%} kept, documents/s, {name}": round(1 / seconds_each, 2),
            f"times as fast as the full model, {name}": round(full / seconds_each, 2),
        }
    return row


def seconds(work: Callable[[], object]) -> float:
    """CPU time of this process."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
