"""The published ways of finding educational text, taught on our labels, and the folds they are all tested in.

A peer reads windows (``read``, which sees no grade), is fitted to the grades of some of them, and says a raw score of
others. It gets its published settings, and beside them the best of a small grid: the candidates are fitted to four
fifths of the documents that may be learned from and held against the rest. What is fitted is also written to a folder,
for the processes that are timed (:mod:`benchmarks.classifiers_speed`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from classifiers import heads
from classifiers.calibration import THRESHOLDS, fit_calibration
from classifiers.labels import Labels, group
from classifiers.metrics import auc, spearman
from classifiers.model import Description, EducationalClassifier
from classifiers.recipe import Part, layer_name
from common.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.recipe import HeadName
    from classifiers.windows import Window

    Scores = NDArray[np.float64]
    Places = NDArray[np.int64]
    Rows = Any  # what a peer reads of all windows, one row each: a matrix, dense or sparse, or an array of lines

GRADE = 3
VALIDATION = 5
"""One group in so many of those that may be learned from is kept back to choose settings with."""


@dataclass(frozen=True)
class Trial:
    """Windows that are tested, fold by fold, and further ones that are only learned from."""

    labels: Labels  # the tested ones first
    count: int  # of the tested ones
    folds: Places  # of all windows; near-duplicates stand in one
    groups: Places  # of all windows: near-duplicates, also along a chain, share one

    @classmethod
    def of(cls, tested: Labels, further: Labels | None, fold_of: Callable[[Labels], Places]) -> Trial:
        """A trial; ``fold_of`` says where each window stands."""
        labels = tested if further is None else _together(tested, further)
        return cls(labels, len(tested), fold_of(labels), group(labels.ids, labels.texts))

    @property
    def tested(self) -> Labels:
        return self.labels.take(np.arange(self.count))

    @property
    def fold(self) -> Places:
        """Of each tested window."""
        return self.folds[: self.count]

    @property
    def turns(self) -> range:
        """The numbers of the folds."""
        return range(int(self.folds.max()) + 1)

    def learned_from(self, number: int) -> Places:
        """Places that a model may learn from that is tested on a fold."""
        return np.flatnonzero(self.folds != number)

    def out_of_fold(self, score: Callable[[Places, Places, int], Scores]) -> Scores:
        """Raw scores of all tested windows by ``score(learned, asked, number of the fold)``: float64[tested]."""
        raw = np.empty(len(self.fold))
        for number in self.turns:
            asked = np.flatnonzero(self.fold == number)
            raw[asked] = score(self.learned_from(number), asked, number)
        return raw

    def calibrated(self, raw: Scores) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Scores 0 to 5 and P(grade ≥ t) of the tested windows; each fold is calibrated on the others."""
        truth = self.labels.scores[: len(self.fold)]
        scores = np.empty(len(raw), np.float32)
        chances = np.empty((len(raw), len(THRESHOLDS)), np.float32)
        for number in self.turns:
            inside, outside = self.fold == number, self.fold != number
            calibration = fit_calibration(raw[outside], truth[outside])
            scores[inside] = calibration.score(raw[inside])
            chances[inside] = np.stack([calibration.probability(raw[inside], t) for t in THRESHOLDS], axis=1)
        return scores, chances


class Peer(Protocol):
    """One way of scoring windows."""

    name: str
    settings: Sequence[Any]  # candidates, the published one first

    def read(self, texts: Sequence[str], learned: Places) -> Rows:
        """What is read of all texts; words are counted in those at ``learned`` alone."""

    def fit(self, rows: Rows, grades: Scores, setting: Any) -> Any:
        """A model of grades."""

    def predict(self, model: Any, rows: Rows) -> Scores:
        """Raw scores."""

    def save(self, folder: Path, labels: Labels, setting: Any) -> None:
        """Learn from all labels, and write what :mod:`benchmarks.classifiers_speed` loads."""


def unseen(
    peer: Peer, trial: Trial, advance: Callable[[int], object] = lambda _: None
) -> tuple[Scores, dict[int, Any]]:
    """Raw out-of-fold scores of the tested windows, and the setting that was chosen in each fold."""
    chosen: dict[int, Any] = {}

    def score(learned: Places, asked: Places, number: int) -> Scores:
        raw, chosen[number] = taught(peer, trial, learned, asked)
        advance(1)
        return raw

    return trial.out_of_fold(score), chosen


def taught(peer: Peer, trial: Trial, learned: Places, asked: Places) -> tuple[Scores, Any]:
    """Raw scores of the windows ``asked`` by a peer that learned from others, and the setting that was chosen."""
    rows = peer.read(trial.labels.texts, learned)
    setting = choose(peer, rows, trial, learned)
    model = peer.fit(rows[learned], trial.labels.scores[learned], setting)
    return peer.predict(model, rows[asked]), setting


def choose(peer: Peer, rows: Rows, trial: Trial, learned: Places) -> Any:
    """The setting that does best on some of the windows that may be learned from, taught on the rest of them."""
    if len(peer.settings) == 1:
        return peer.settings[0]
    held = trial.groups[learned] % VALIDATION == 0
    taught, asked, grades = learned[~held], learned[held], trial.labels.scores

    def merit(setting: Any) -> float:
        raw = peer.predict(peer.fit(rows[taught], grades[taught], setting), rows[asked])
        return (auc(grades[asked] >= GRADE, raw) or 0.0) + (spearman(raw, grades[asked]) or 0.0)

    return max(peer.settings, key=merit)


class Words:
    """Ridge regression on words and pairs of words, weighed by rarity."""

    name = "TF-IDF + ridge"
    settings: Sequence[float] = (1.0, 0.3, 3.0)  # penalties

    def read(self, texts: Sequence[str], learned: Places) -> Rows:
        return self._vectorizer().fit([texts[i] for i in learned]).transform(texts)

    def fit(self, rows: Rows, grades: Scores, setting: float) -> Any:
        from sklearn.linear_model import Ridge

        return Ridge(alpha=setting, solver="sparse_cg", tol=1e-3).fit(rows, grades)

    def predict(self, model: Any, rows: Rows) -> Scores:
        return np.asarray(model.predict(rows), np.float64)

    def save(self, folder: Path, labels: Labels, setting: float) -> None:
        vectorizer = self._vectorizer()
        model = self.fit(vectorizer.fit_transform(labels.texts), labels.scores, setting)
        np.savez(folder / "words.npz", rarity=vectorizer.idf_, weights=model.coef_, intercept=model.intercept_)
        places = {word: int(place) for word, place in vectorizer.vocabulary_.items()}
        (folder / "words.json").write_text(json.dumps(places), encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> Callable[[Sequence[str]], Scores]:
        """A scorer of texts."""
        vectorizer = Words._vectorizer(json.loads((folder / "words.json").read_text(encoding="utf-8")))
        arrays = np.load(folder / "words.npz", allow_pickle=False)
        vectorizer.idf_ = arrays["rarity"]
        return lambda texts: vectorizer.transform(texts) @ arrays["weights"] + arrays["intercept"]

    @staticmethod
    def _vectorizer(vocabulary: dict[str, int] | None = None) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        least = 3 if vocabulary is None else 1
        return TfidfVectorizer(ngram_range=(1, 2), min_df=least, sublinear_tf=True, vocabulary=vocabulary)


_TEACH = """
import json, sys, fasttext
fasttext.train_supervised(sys.argv[1], **json.loads(sys.argv[3])).save_model(sys.argv[2])
"""


class FastText:
    """fastText on words and pairs of words, as DCLM filters (Li et al. 2024, arXiv 2406.11794): fastText's own defaults
    but for the pairs.
    """

    settings: Sequence[tuple[int, float]] = ((5, 0.1), (25, 0.5))  # epochs, learning rate
    buckets = 2_000_000

    def __init__(self, name: str, graded: bool) -> None:
        """``graded``: six classes and the expected grade, in the place of two classes and the odds of the higher.

        Nobody published settings of the former, and each costs 20 s a fold: it takes those that two classes choose.
        """
        self.name, self._graded = name, graded
        if graded:
            self.settings = self.settings[-1:]
        try:
            import fasttext  # noqa: F401
        except ImportError as error:
            raise InputError("fastText is not installed: pip install fasttext-numpy2-wheel, or leave it out") from error

    def read(self, texts: Sequence[str], learned: Places) -> Rows:
        return np.array([one_line(text) for text in texts], object)

    def fit(self, rows: Rows, grades: Scores, setting: tuple[int, float]) -> Any:
        import fasttext

        with tempfile.TemporaryDirectory() as folder:
            self._teach(rows, grades, setting, Path(folder) / "model.bin")
            return fasttext.load_model(f"{folder}/model.bin")

    def _teach(self, rows: Rows, grades: Scores, setting: tuple[int, float], model: Path) -> None:
        """Save a model. On one thread fastText leaves most of its table as the memory was: in a process of its own,
        whose allocator clears what it gives, the same texts give the same model."""
        labels = np.floor(grades + 0.5).astype(int) if self._graded else (grades >= GRADE).astype(int)
        lines = model.with_suffix(".txt")
        lines.write_text("".join(f"__label__{label} {row}\n" for label, row in zip(labels, rows, strict=True)), "utf-8")
        options = {"epoch": setting[0], "lr": setting[1], "wordNgrams": 2, "bucket": self.buckets}
        words = [str(lines), str(model), json.dumps({**options, "thread": 1, "seed": 1, "verbose": 0})]
        clears = os.environ | {"MALLOC_PERTURB_": "255"}  # glibc fills with the byte's complement, mallopt(3)
        subprocess.run([sys.executable, "-c", _TEACH, *words], env=clears, check=True)
        lines.unlink()

    def predict(self, model: Any, rows: Rows) -> Scores:
        return expected_grades(model, list(rows)) if self._graded else log_odds(model, list(rows))

    def save(self, folder: Path, labels: Labels, setting: tuple[int, float]) -> None:
        self._teach(self.read(labels.texts, np.empty(0, np.int64)), labels.scores, setting, folder / "model.bin")


def load_fasttext(folder: Path) -> Callable[[Sequence[str]], Scores]:
    """A scorer of texts by a model that :class:`FastText` saved; both kinds cost the same."""
    import fasttext

    model = fasttext.load_model(str(folder / "model.bin"))
    return lambda texts: expected_grades(model, [one_line(text) for text in texts])


def one_line(text: str) -> str:
    """``text`` as fastText takes it: a line break ends a document there."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def expected_grades(model: Any, lines: list[str]) -> Scores:
    """Mean of the classes, which are grades, by their chances."""
    return np.array([sum(grade * chance for grade, chance in each.items()) for each in _chances(model, lines)])


def log_odds(model: Any, lines: list[str]) -> Scores:
    """Log-odds of class 1."""
    tiny = 1e-9
    return np.array([np.log(each.get(1, 0) + tiny) - np.log(each.get(0, 0) + tiny) for each in _chances(model, lines)])


def _chances(model: Any, lines: list[str]) -> list[dict[int, float]]:
    labels, chances = model.predict(lines, k=-1, threshold=-1.0)
    numbers = [[int(label.removeprefix("__label__")) for label in each] for each in labels]
    return [dict(zip(number, map(float, chance), strict=True)) for number, chance in zip(numbers, chances, strict=True)]


class Embedded:
    """A head on the vectors of a frozen encoder."""

    def __init__(
        self, name: str, head: HeadName, vectors: NDArray[np.float32], encoder: tuple[str, str], window: Window
    ) -> None:
        """``vectors``: of all windows; ``encoder``: by which name it is loaded, and its sha256."""
        self.name, self._head, self._vectors, self._encoder, self._window = name, head, vectors, encoder, window
        self.settings: Sequence[float | None] = (3.0, 0.3, 30.0) if head == "ridge" else (None,)

    def read(self, texts: Sequence[str], learned: Places) -> Rows:
        return self._vectors

    def fit(self, rows: Rows, grades: Scores, setting: float | None) -> dict[str, Any]:
        return heads.fit(self._head, [rows], grades) if setting is None else ridge(rows, grades, setting)

    def predict(self, model: dict[str, Any], rows: Rows) -> Scores:
        return heads.predict(self._head, model, [rows])

    def save(self, folder: Path, labels: Labels, setting: float | None) -> None:
        model = self.fit(self._vectors, labels.scores, setting)
        description = Description(
            kind="educational_classifier",
            format=1,
            encoder=self._encoder[0],
            encoder_sha256=self._encoder[1],
            window=self._window,
            layers=(0,),
            parts=(Part(head=self._head, reads=(layer_name(0),)),),
        )
        calibration = fit_calibration(self.predict(model, self._vectors), labels.scores)
        EducationalClassifier(description, calibration, (model,)).save(folder / "classifier")


def ridge(rows: NDArray[np.float32], grades: Scores, alpha: float) -> dict[str, Any]:
    """The arrays of the head ``ridge``, for another penalty than the head's own."""
    from sklearn.linear_model import Ridge

    mean, length = rows.mean(axis=0), np.sqrt(rows.var(axis=0).sum())
    fitted = Ridge(alpha=alpha).fit((rows - mean) / length, grades)
    scale = np.full_like(mean, length)
    arrays = {"mean": mean, "scale": scale, "coefficients": fitted.coef_, "intercept": np.array([fitted.intercept_])}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def _together(first: Labels, second: Labels) -> Labels:
    return Labels(
        first.ids + second.ids,
        first.texts + second.texts,
        np.concatenate([first.scores, second.scores]),
        np.concatenate([first.gradings, second.gradings]),
        first.kinds + second.kinds,
        first.sources + second.sources,
    )
