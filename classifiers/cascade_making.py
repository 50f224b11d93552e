"""Give a classifier a first stage: teach it, calibrate it, and write the directory again.

Texts for teaching may be of any kind, the more the better; texts for calibration must be drawn like the documents that
will be filtered, and must not have been taught. Both are drawn from what is named by a hash of the text, so the same
files give the same bytes in any order, and a whole crawl may be named. Of a long teaching text later windows are used
too; what is also in the calibration sample is left out.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers import scoring
from classifiers.cascade import Cascade, fit_spread
from classifiers.cascade_settings import Making, Promise
from classifiers.first_stage_teaching import MIN_TEXTS, teach
from classifiers.labels import fingerprint
from classifiers.model import DEFAULT_DIRECTORY, DESCRIPTION, TRAINING_SET, WEIGHTS, EducationalClassifier, plain
from classifiers.score_cache import score_each
from classifiers.windows import Reading, head
from common.errors import InputError
from common.files import content_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_CALIBRATION = 500
LARGE_CRAWL = 1_000_000
"""Documents: where chance has little play, so that fewer of them need the full model."""
KEEP_FRACTIONS = (0.05, 0.1, 0.2, 0.4)
SECTION = "## Cascade"
_SPREAD_SHARE = 10
"""One teaching window of so many is kept back to see how far estimates lie off."""
_KEY = b"edusieve cascade 1"


@dataclass(frozen=True)
class Texts:
    """What a cascade is made of."""

    teaching: Sequence[str]  # windows
    calibration: Sequence[str]  # whole documents

    def __len__(self) -> int:
        return len(self.teaching) + len(self.calibration)


def gather(
    classifier: EducationalClassifier, unlabelled: Sequence[str], calibration: Sequence[str], settings: Making
) -> Texts:
    """Draw the texts.

    Args:
        classifier: the full model. Texts that it was trained on do not calibrate: it knows them too well.
        unlabelled: files, folders, globs or URLs of documents with id and text; each gives its share at most.
        calibration: the same; if there are none, half of the unlabelled documents.
        settings: how many.
    Raises:
        InputError: if there are too few.
    """
    window, apart = classifier.description.window, bool(calibration)
    known = trained_on(classifier)

    def calibrates(text: str) -> bool:
        return (apart or _hash(text) % 2 == 1) and not known(text)

    held = _draw(calibration or unlabelled, settings.calibration_documents, calibrates)
    if len(held) < MIN_CALIBRATION:
        raise InputError(
            f"a cascade needs at least {MIN_CALIBRATION} documents to calibrate with that the classifier was not "
            f"trained on, got {len(held)}"
        )
    seen = {_mark(head(text, window)) for text in held}
    pieces: list[str] = []
    for source in unlabelled:
        start, share = len(pieces), settings.teaching_windows // len(unlabelled)
        for text in _draw([source], share, lambda text: _mark(head(text, window)) not in seen):
            for piece in _pieces(text, window.characters, settings.windows_each):
                if (mark := _mark(piece)) not in seen and len(pieces) - start < share:
                    seen.add(mark)
                    pieces.append(piece)
    if len(pieces) < MIN_TEXTS:
        raise InputError(
            f"a first stage needs at least {MIN_TEXTS} texts to learn from that are not among those it is "
            f"calibrated with, got {len(pieces)}"
        )
    return Texts(pieces, held)


def trained_on(classifier: EducationalClassifier) -> Callable[[str], bool]:
    """Whether the full model was trained on a document."""
    known = set(classifier.training_set.get("texts", np.empty(0)).tolist())
    return lambda text: _mark(head(text, classifier.description.window)) in known


def make(
    classifier: EducationalClassifier,
    texts: Texts,
    settings: Making,
    *,
    cache: Path | None = None,
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> EducationalClassifier:
    """The classifier with a cascade, and its figures in ``about["cascade"]``.

    Args:
        classifier: the full model.
        texts: of :func:`gather`.
        settings: how.
        cache: folder where scores of the full model are kept, so that a killed run goes on where it was.
        threads: batches of the full model at a time; the result does not depend on it.
        advance: called with the number of texts that the full model has scored.
    """
    windows = classifier.reading(Reading(policy="head"))
    full = classifier.calibration.score(score_each(classifier, texts.calibration, cache, threads, advance))
    return fit(classifier, texts, score_each(windows, texts.teaching, cache, threads, advance), full, settings)


def fit(
    classifier: EducationalClassifier,
    texts: Texts,
    raw: NDArray[np.float64],
    full: NDArray[np.float32],
    settings: Making,
) -> EducationalClassifier:
    """What :func:`make` does once the full model has scored: raw teaching windows, and calibration documents 0 to 5."""
    from common.tokenizer import load_tokenizer

    kept_back = np.arange(len(raw)) % _SPREAD_SHARE == 0
    taught = [text for text, back in zip(texts.teaching, kept_back, strict=True) if not back]
    characters = classifier.description.window.characters
    stage = teach(taught, raw[~kept_back], characters, classifier.embed, settings.seed)
    unseen = [text for text, back in zip(texts.teaching, kept_back, strict=True) if back]
    spread = fit_spread(stage.estimate(unseen), raw[kept_back])
    cascade = Cascade(stage, classifier.calibration, spread, np.empty((2, 0), np.float32))
    own = cascade.score(texts.calibration)
    order = np.lexsort((full, own))
    cascade = replace(cascade, sample=np.stack([own[order], full[order]]))
    tokenizer = load_tokenizer()
    tokens = np.array([tokenizer.count(text) for text in texts.calibration], np.int64)
    figures = {
        "teaching_windows": len(texts.teaching),
        "calibration_documents": len(texts.calibration),
        "calibration_tokens": int(tokens.sum()),
        "texts": content_key(list(texts.teaching), list(texts.calibration)),
        "correlation": round(float(np.corrcoef(own, full)[0, 1]), 4),
        "settings": settings.model_dump(mode="json"),
        "keep": rates(cascade, own, full, tokens, settings.promise),
    }
    return replace(classifier, cascade=cascade, about={**classifier.about, "cascade": figures})


def rates(
    cascade: Cascade, own: NDArray[np.float32], full: NDArray[np.float32], tokens: NDArray[np.int64], promise: Promise
) -> list[dict[str, Any]]:
    """What the cascade would do with documents whose full scores are known, at several keep shares."""
    order = np.argsort(-full, kind="stable")
    running = np.cumsum(tokens[order])
    rows = []
    for fraction in KEEP_FRACTIONS:
        threshold = float(full[order[min(len(full) - 1, int(np.searchsorted(running, fraction * running[-1])))]])
        keeps = full >= np.float32(threshold)
        kept_tokens = int(tokens[keeps].sum())
        band = cascade.band(own, tokens, threshold, kept_tokens, promise)
        many = cascade.band(own, tokens, threshold, kept_tokens, promise, copies=-(-LARGE_CRAWL // len(own)))
        wrong = ~band.undecided & ((own >= np.float32(threshold)) != keeps)
        rows.append(
            {
                "keep_fraction": fraction,
                "threshold": round(threshold, 4),
                "full_fraction": round(float(band.undecided.mean()), 4),
                "full_fraction_of_a_million": round(float(many.undecided.mean()), 4),
                "error_fraction": round(int(tokens[wrong].sum()) / kept_tokens, 4),
            }
        )
    return rows


def pages(source: Path | str | None, classifier: EducationalClassifier) -> dict[str, bytes]:
    """The pages of a classifier directory, with a section on the cascade in its card."""
    folder = DEFAULT_DIRECTORY if source is None or str(source) == "default" else Path(source)
    ours = {DESCRIPTION, WEIGHTS, TRAINING_SET}
    found = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name not in ours}
    card = found.get("README.md", b"# Educational-value classifier\n").decode()
    return found | {"README.md": _with_section(card, section(classifier.about["cascade"])).encode()}


def section(figures: Mapping[str, Any]) -> str:
    """The card's section."""
    promise = figures["settings"]["promise"]
    rows = "\n".join(
        f"| {row['keep_fraction']:.0%} | {row['threshold']:.2f} | {row['full_fraction']:.1%} "
        f"| {row['full_fraction_of_a_million']:.1%} | {row['error_fraction']:.2%} |"
        for row in figures["keep"]
    )
    return f"""{SECTION}

A first stage on words decides most documents; the full model sees those whose decision it might change. It learned
from {figures["teaching_windows"]:,} windows that the full model scored, and was calibrated with \
{figures["calibration_documents"]:,} other documents
(correlation with the full model there {figures["correlation"]:.3f}). With confidence {promise["confidence"]:g}, the \
tokens that are decided otherwise than
by the full model are at most {promise["error_fraction"]:.0%} of those it keeps, where documents of equal first-stage \
score are misjudged as often
as in the calibration sample. For that sample itself:

| tokens kept | threshold | documents that the full model sees | of a million like them | tokens decided otherwise |
|---|---|---|---|---|
{rows}
"""


def _with_section(card: str, text: str) -> str:
    before, found, rest = card.partition(f"{SECTION}\n")
    if found:
        following = rest.find("\n## ")
        rest = rest[following + 1 :] if following >= 0 else ""
    else:
        place = card.find("## Limits\n")
        before, rest = (card, "") if place < 0 else (card[:place], card[place:])
    return f"{before.rstrip()}\n\n{text}" + (f"\n{rest}" if rest else "")


def _draw(sources: Sequence[str], count: int, wanted: Callable[[str], bool]) -> list[str]:
    """At most ``count`` different texts: those with the smallest hashes that are wanted."""
    chosen: list[tuple[int, str]] = []
    known = set()
    for text in _read(sources):
        number = _hash(text)
        crowded = len(chosen) == count and number >= -chosen[0][0]
        if crowded or number in known or not text.strip() or not wanted(text):
            continue
        known.add(number)
        heapq.heappush(chosen, (-number, text))
        if len(chosen) > count:
            known.discard(-heapq.heappop(chosen)[0])
    return [text for _, text in sorted(chosen, reverse=True)]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8, key=_KEY).digest(), "big")


def _mark(text: str) -> int:
    """By which a text is recognised, also in another spacing or case."""
    return fingerprint(plain(text))


def _read(sources: Sequence[str]) -> Iterable[str]:
    for source in sources:
        for block in scoring.read_blocks(source):
            for row in block:
                yield row["text"]


def _pieces(text: str, characters: int, most: int) -> list[str]:
    """The first windows of a text, one after the other; a short rest is not one."""
    cut = (text[place * characters : (place + 1) * characters] for place in range(most))
    return [piece for place, piece in enumerate(cut) if piece.strip() and (not place or len(piece) > characters // 3)]
