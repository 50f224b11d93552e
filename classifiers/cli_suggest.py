"""The command ``classifiers suggest``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from classifiers.suggestion import Suggestion
from common import command

Flag = Annotated[bool, Parameter(negative=())]


def suggest(
    *,
    pool: str,
    out: Path,
    settings: Annotated[Suggestion, Parameter(name="*", negative=())],
    classifier: Path | None = None,
    labels: str | None = None,
    threads: int = 1,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Pick the documents whose grades would teach a classifier most: doubtful ones, and some at random.

    The file is what classifiers annotate takes as --input. Near-duplicates and what the classifier was trained on are
    left out. Each document has its reason and the probability that it was drawn.

    Example: classifiers suggest --pool documents.jsonl.gz --out to-grade.jsonl --count 500 --labels labels.jsonl.gz

    Parameters
    ----------
    pool
        Documents, JSONL or Parquet with id and text: file, folder, glob or URL. Each is scored.
    out
        Documents to grade, .jsonl: id, text (the window), reason, inclusion_probability, probability, score.
    settings
        How many, and which.
    classifier
        Classifier directory; without it, the default that ships.
    labels
        Labels table: near-duplicates of its texts are left out.
    threads
        Batches that are computed at a time; the bytes do not depend on it.
    dry_run
        Say what would be scored and written, and stop.
    json
        Print one JSON document.
    """
    from classifiers import scoring
    from classifiers import suggest as suggestions
    from classifiers.model import EducationalClassifier
    from common.documents import expand

    suggestions.checked_out(out)
    loaded, documents = EducationalClassifier.load(classifier), scoring.count(expand(pool))
    if dry_run:
        plan = {"documents": documents, "suggest": settings.count, "classifier": loaded.digest, "out": str(out)}
        command.emit(plan, command.table([plan]), json)
        return
    with command.progress(documents, " documents", "suggest") as bar:
        result = suggestions.suggest(pool, out, loaded, settings, labels=labels, threads=threads, advance=bar.update)
    command.emit(result, command.table([result]), json)
