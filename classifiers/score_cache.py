"""Raw scores of many texts that outlive the command: one that was killed goes on where it was.

Each text is scored alone, as a filter job does it. In a batch a score would depend on the others in the seventh digit,
and so on what the cache already held; alone, a text has one score, whatever else is asked and whenever. On one core it
is quicker too: nothing is padded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from classifiers.encoders import one_torch_thread
from common.files import publish_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.model import EducationalClassifier

BLOCK_TEXTS = 128
"""Texts that a kill may cost, and that a file of the cache holds."""
_KEY = b"edusieve score cache 1"
_ROW = np.dtype([("text", "<u8"), ("raw", "<f8")])


def score_each(
    classifier: EducationalClassifier,
    texts: Sequence[str],
    cache: Path | None = None,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> NDArray[np.float64]:
    """Raw scores of texts, float64[n].

    Args:
        classifier: scores; the cache keeps apart what belongs to another digest.
        texts: whole documents.
        cache: folder of what was scored before; None: nothing is kept.
        threads: texts at a time; no score depends on it.
        advance: called with the number of texts done.
    """
    names = [_name(text) for text in texts]
    known = _read(cache, classifier.digest)
    missing = [(name, text) for name, text in dict(zip(names, texts, strict=True)).items() if name not in known]
    if advance:
        advance(len(texts) - len(missing))
    classifier.warm_up()
    with one_torch_thread(), ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(missing), BLOCK_TEXTS):
            block = missing[start : start + BLOCK_TEXTS]
            found = {}
            for (name, _), raw in zip(
                block, pool.map(lambda one: classifier.raw_scores([one[1]])[0], block), strict=True
            ):
                found[name] = raw
                if advance:
                    advance(1)
            _write(cache, classifier.digest, found)
            known |= found
    return np.array([known[name] for name in names], np.float64)


def _read(cache: Path | None, digest: str) -> dict[int, float]:
    rows = [np.load(path) for path in sorted(cache.glob(f"{digest}-*.npy"))] if cache else []
    return {int(name): float(raw) for block in rows for name, raw in block}


def _write(cache: Path | None, digest: str, found: dict[int, float]) -> None:
    if cache is None:
        return
    block = np.array(sorted(found.items()), _ROW)
    with publish_file(cache / f"{digest}-{block['text'][0]:016x}.npy") as temporary, temporary.open("wb") as stream:
        np.save(stream, block)


def _name(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=_KEY).digest()
    return int.from_bytes(digest, "big")
