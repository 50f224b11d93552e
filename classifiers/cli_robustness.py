"""The command ``classifiers robustness``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from common import command


def robustness(
    *,
    labels: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    pool: str | None = None,
    classifier: Path | None = None,
    folds: int | None = None,
    unlabelled: str | None = None,
    windows: int = 300,
    page: Path | None = None,
    threads: int = 1,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Measure how far scores move when only the dress of a text changes, and what predicts them without reading.

    Wiki markup, Markdown, a site's menu or footer, padding, upper and lower case, lost line breaks and typographic
    signs; how well source, length and format alone predict the score; and lessons in languages it was not taught.

    Example: classifiers robustness --pool documents.jsonl.gz --page robustness.html

    Parameters
    ----------
    labels
        Labels tables: id, text, score, where known source. Documents that the classifier was trained on are left out.
    pool
        Or documents without grades, JSONL or Parquet with id and text, where known source: file, folder, glob or URL.
    classifier
        Classifier directory; without it, the default that ships.
    folds
        With --labels: train the classifier's recipe anew, for each of so many folds on the others.
    unlabelled
        With --folds: what classifiers train was given under this name.
    windows
        Documents to measure styles on; each is scored eleven times.
    page
        HTML page to write.
    threads
        Batches or folds that are computed at a time; no figure depends on it.
    json
        Print one JSON document.
    """
    from classifiers import robustness as measuring
    from classifiers import robustness_report
    from classifiers.compare import checked_page

    checked_page(page)
    job = measuring.prepare(
        labels=labels, pool=pool, classifier=classifier, folds=folds, unlabelled=unlabelled, count=windows
    )
    with command.progress(job.work, " texts", "robustness") as bar:
        found = job.run(threads, bar.update)
    if page:
        robustness_report.write_page(found, page)
    command.emit(found | {"page": page and str(page)}, robustness_report.summary(found), json)
