"""Educational scores of a unit's documents, by the classifier of the job."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCORES = "scores.npy"
_BATCH = 256
"""Documents that are scored together. A score depends on its batch in the 7th digit, so batches are formed within a
unit, by position: the number of workers cannot change them."""


class Scorer(Protocol):
    """What of :class:`classifiers.EducationalClassifier` is used here."""

    @property
    def digest(self) -> str:
        """Identity of everything that changes a score."""
        ...

    def score(self, texts: Sequence[str], advance: Callable[[int], object]) -> NDArray[np.float32]:
        """float32[n], 0 to 5; ``advance`` hears how many documents each batch had."""
        ...


@functools.lru_cache(maxsize=1)
def load_scorer(classifier: str) -> Scorer:
    """The classifier of a job: "default" or a directory; read once a process."""
    from classifiers import EducationalClassifier

    scorer: Scorer = EducationalClassifier.load(None if classifier == "default" else classifier)
    return scorer


def score_file(values: Mapping[str, Any], folder: Path, advance: Callable[[int], None]) -> None:
    """Score the survivors of one scanned file into ``folder/scores.npy`` (work of a unit)."""
    import numpy as np

    start, stop = values["rows"]
    first = np.load(values["first"], mmap_mode="r")
    survives = first[start:stop] == np.arange(start, stop)
    scorer = load_scorer(values["classifier"])
    scores = [np.empty(0, dtype=np.float32)]
    done = 0

    def add(documents: int) -> None:
        nonlocal done
        done += documents
        advance(done)

    for texts in _batches(values["documents"], survives):
        scores.append(scorer.score(texts, add))
    np.save(folder / SCORES, np.concatenate(scores).astype(np.float32))


def _batches(documents: str, survives: NDArray[np.bool_]) -> Iterator[list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    row, texts = 0, []
    for part in pq.ParquetFile(documents).iter_batches(columns=["text"]):
        chosen = part.filter(pa.array(survives[row : row + len(part)]))
        row += len(part)
        texts += chosen["text"].to_pylist()
        while len(texts) >= _BATCH:
            yield texts[:_BATCH]
            del texts[:_BATCH]
    if texts:
        yield texts
