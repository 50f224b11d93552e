"""The educational-value classifier: a directory that loads without running anyone's code.

``classifier.json`` says what the classifier is and lists every other file with its sha256; arrays lie in safetensors;
``README.md`` is the model card. A file that is missing, changed, not listed or outside the directory is refused. The
weights of the public encoder are not copied: the directory names the encoder and its sha256.

A raw score is a weighted sum of *parts*; a part is a head that reads some of the features. Calibration then maps raw
scores to 0–5 and to P(score ≥ t).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from classifiers import heads
from classifiers.calibration import THRESHOLDS, Calibration
from classifiers.cascade import Cascade
from classifiers.encoders import Encoder, load_encoder, one_torch_thread
from classifiers.labels import Labels, fingerprint
from classifiers.languages import characters_per_token
from classifiers.model_files import folder_digest, resolve
from classifiers.recipe import STATIC, Part, Recipe, layer_name
from classifiers.static import StaticEncoder, Tokens
from classifiers.windows import Reading, Window, by_documents, cut, pool, share_seen
from common.errors import InputError, IntegrityError, SettingsError
from common.files import check_files, content_key, publish_folder, read_json, sha256_of
from common.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

DEFAULT_DIRECTORY = Path(__file__).parent / "default"
DESCRIPTION = "classifier.json"
WEIGHTS = "weights.safetensors"
TRAINING_SET = "training_set.safetensors"
KIND = "educational_classifier"
KNOWN_SUFFIXES = (".safetensors", ".md", ".svg")


class Description(Settings):
    """What of ``classifier.json`` decides scores."""

    kind: Literal["educational_classifier"]
    format: Literal[1]
    encoder: str = Field(description="directory, installed package or hub name")
    encoder_sha256: str
    window: Window
    layers: tuple[int, ...] = Field(description="hidden layers that are read; 0: the model's own output")
    parts: tuple[Part, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Measures:
    """What the classifier says of some texts."""

    scores: NDArray[np.float32]  # 0–5, n
    probabilities: NDArray[np.float32]  # P(score ≥ t) for t = 1 … 5: n, 5
    share_seen: NDArray[np.float32]  # share of the characters that were read, n
    characters_per_token: NDArray[np.float32]  # spaces aside; low where the encoder does not know the language, n


@dataclass(frozen=True)
class EducationalClassifier:
    """Scores texts by educational value, 0 to 5.

    >>> EducationalClassifier.load(None).score(["Photosynthesis turns light into chemical energy."])  # doctest: +SKIP
    """

    description: Description
    calibration: Calibration
    heads: tuple[Arrays, ...]  # one a part
    static: StaticEncoder | None = None
    adapters: Mapping[str, tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=dict)
    training_set: Arrays = field(default_factory=dict)  # what it was trained on, by fingerprint, and out-of-fold scores
    cascade: Cascade | None = None  # a first stage, and how far it can be trusted; no part in ``score``
    about: Mapping[str, Any] = field(default_factory=dict)  # recipe, labels, figures: said, never read by the scoring

    def score(self, texts: Sequence[str], advance: Callable[[int], object] | None = None) -> NDArray[np.float32]:
        """Calibrated scores, float32[n]. The same list of texts gives the same bits in any process.

        ``advance`` is called with the number of documents of each batch that is done, for a progress bar.
        """
        return self.measure(texts, advance=advance).scores

    def measure(
        self, texts: Sequence[str], threads: int = 1, advance: Callable[[int], object] | None = None
    ) -> Measures:
        """Scores, probabilities, the share of each text that was read, and how the encoder took it.

        Args:
            texts: whole documents; they are cut to their windows here.
            threads: batches that are embedded at a time; the result does not depend on it.
            advance: called with the number of documents of each batch that is done, for a progress bar.
        """
        raw, density = self._read(texts, threads, advance)
        chances = [self.calibration.probability(raw, t) for t in THRESHOLDS]
        return Measures(
            scores=self.calibration.score(raw),
            probabilities=np.stack(chances, axis=1),
            share_seen=np.array([share_seen(text, self.description.window) for text in texts], np.float32),
            characters_per_token=density,
        )

    def raw_scores(
        self, texts: Sequence[str], threads: int = 1, advance: Callable[[int], object] | None = None
    ) -> NDArray[np.float64]:
        """Raw scores of whole documents, float64[n]: those of their windows, pooled; not yet calibrated."""
        return self._read(texts, threads, advance)[0]

    def _read(
        self, texts: Sequence[str], threads: int, advance: Callable[[int], object] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Raw scores of whole documents, float64[n], and characters a token, float32[n]."""
        window = self.description.window
        cuts = [cut(text, window) for text in texts]
        counts = [len(windows) for windows in cuts]
        tokens = self._encoder.tokenize([w for windows in cuts for w in windows]) if cuts else []
        raw = self.raw(self.features(tokens, threads, advance and by_documents(advance, counts)))
        pooled = pool(raw, counts, [min(len(t), window.tokens) for t in tokens], window.pooling)
        return pooled, characters_per_token(cuts, tokens)

    def warm_up(self) -> None:
        """Load the encoder now, so that processes that are forked later share it."""
        with one_torch_thread():
            _ = self._encoder

    def reading(self, other: Reading) -> EducationalClassifier:
        """This classifier, reading other parts of a document; what it learned stays as it is."""
        window = self.description.window.model_copy(update=other.model_dump(exclude_none=True))
        return replace(self, description=self.description.model_copy(update={"window": window}))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the encoder makes of texts as they are, not cut to windows: the layers that are read, side by side."""
        return self._encoder.embed(self._encoder.tokenize(texts)).reshape(len(texts), -1)

    def features(
        self, tokens: Sequence[Tokens], threads: int = 1, advance: Callable[[int], object] | None = None
    ) -> dict[str, NDArray[np.float32]]:
        """The features that the parts read, by name: float32[n, columns] each."""
        return read_features(self._encoder, self.static, tokens, threads, advance)

    def raw(self, features: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Raw scores: the weighted sum of the parts."""
        return sum_of_parts(self.description.parts, self.heads, features)

    @property
    def recipe(self) -> Recipe:
        """How it was made.

        Raises:
            InputError: if the classifier does not say.
        """
        if "recipe" not in self.about:
            raise InputError("this classifier does not record its recipe, so it cannot be trained again")
        return Recipe.parse(self.about["recipe"], where="the classifier's recipe")

    @cached_property
    def digest(self) -> str:
        """Identity of everything that changes a score; equal digests score equally. A cascade has its own."""
        from safetensors.numpy import save

        content = hashlib.sha256(save(replace(self, cascade=None)._arrays())).hexdigest()
        return content_key(self.description.model_dump(mode="json", exclude={"encoder"}), content)

    def knows(self, labels: Labels) -> NDArray[np.bool_]:
        """Whether this classifier was trained on a label's document or text, bool[n]."""
        known_ids = set(self.training_set.get("ids", np.empty(0)).tolist())
        known_texts = set(self.training_set.get("texts", np.empty(0)).tolist())
        return np.array(
            [
                fingerprint(i) in known_ids or fingerprint(plain(t)) in known_texts
                for i, t in zip(labels.ids, labels.texts, strict=True)
            ],
            np.bool_,
        )

    def unseen(self, labels: Labels) -> Labels:
        """The labels whose document and text this classifier was not trained on.

        Raises:
            InputError: if none is left.
        """
        new = ~self.knows(labels)
        if not new.any():
            raise InputError(
                f"the classifier was trained on all {len(labels)} of these documents, so figures on them would only "
                "measure its memory: name labels it has not seen, or use --out-of-fold for what its cross-validation "
                "says of them, or --folds 5 to cross-validate its recipe anew"
            )
        return labels.take(new)

    def save(self, path: Path | str, pages: Mapping[str, bytes] | None = None) -> None:
        """Publish the classifier directory.

        Args:
            path: the directory; one that holds another classifier is replaced, anything else is refused.
            pages: more files by name: the model card and its plots.
        """
        from safetensors.numpy import save_file

        check_target(path)
        with publish_folder(path) as folder:
            save_file(self._arrays(), folder / WEIGHTS)
            save_file(self.training_set, folder / TRAINING_SET)
            for name, content in (pages or {}).items():
                (folder / name).write_bytes(content)
            for file in folder.iterdir():
                file.chmod(0o644)  # safetensors writes for the owner alone
            files = [
                {"path": f.name, "sha256": sha256_of(f), "bytes": f.stat().st_size} for f in sorted(folder.iterdir())
            ]
            write_description(folder / DESCRIPTION, self, files)

    @classmethod
    def load(cls, path: Path | str | None = None) -> EducationalClassifier:
        """Load a classifier directory; None or "default" is the one that ships.

        Raises:
            InputError: if it is not a classifier directory.
            IntegrityError: if a file differs, is missing, is not listed, or the encoder is another one.
        """
        folder = DEFAULT_DIRECTORY if path is None or str(path) == "default" else Path(path)
        if not (folder / DESCRIPTION).is_file():
            raise InputError(f"{folder} is not a classifier directory: it has no {DESCRIPTION}")
        values = read_json(folder / DESCRIPTION)
        _check_listed(folder, values)
        scoring = {key: values[key] for key in Description.model_fields if key in values}
        description = Description.parse(scoring, where=str(folder / DESCRIPTION))
        found = folder_digest(resolve(description.encoder))
        if found != description.encoder_sha256:
            raise IntegrityError(
                f"{folder} was made with another {description.encoder}: sha256 {description.encoder_sha256[:12]}… was "
                f"recorded, {found[:12]}… is installed"
            )
        loaded = _from_arrays(description, _read_arrays(folder / WEIGHTS), folder)
        about = {key: value for key, value in values.items() if key not in {*scoring, "digest", "files"}}
        loaded = replace(loaded, training_set=_read_arrays(folder / TRAINING_SET), about=about)
        if values.get("digest") != loaded.digest:
            raise IntegrityError(f"{folder / DESCRIPTION} does not belong to these weights: the digest differs")
        return loaded

    @cached_property
    def _encoder(self) -> Encoder:
        encoder = load_encoder(self.description.encoder, self.description.window.tokens, self.description.layers)
        encoder.add_adapters(self.adapters)
        return encoder

    def _arrays(self) -> Arrays:
        arrays: Arrays = {
            "calibration/knots": self.calibration.knots,
            "calibration/scores": self.calibration.scores,
            "calibration/probabilities": self.calibration.probabilities,
        }
        if self.static is not None:
            arrays |= {"static/table": self.static.table, "static/scales": self.static.scales}
        for name, (up, down) in self.adapters.items():
            arrays |= {f"adapter/{name}/up": up, f"adapter/{name}/down": down}
        for place, head in enumerate(self.heads):
            arrays |= {f"part/{place}/{name}": array for name, array in head.items()}
        if self.cascade is not None:
            arrays |= {f"cascade/{name}": array for name, array in self.cascade.arrays().items()}
        return arrays


def check_target(path: Path | str) -> None:
    """Refuse to replace anything but a classifier directory.

    Raises:
        SettingsError: if ``path`` is a file, or a folder that holds something else.
    """
    target = Path(path)
    if target.exists() and not (target / DESCRIPTION).is_file() and (target.is_file() or any(target.iterdir())):
        raise SettingsError(f"{path} exists and is not a classifier directory; name a new one")


def read_features(
    encoder: Encoder,
    static: StaticEncoder | None,
    tokens: Sequence[Tokens],
    threads: int = 1,
    advance: Callable[[int], object] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Features of both encoders by name; the texts are tokenised once for both."""
    states = encoder.embed(tokens, threads, advance)
    found = {layer_name(layer): states[:, place] for place, layer in enumerate(encoder.layers)}
    return found | ({STATIC: static.embed(tokens)} if static else {})


def sum_of_parts(
    parts: Sequence[Part], fitted: Sequence[Arrays], features: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Raw scores float64[n] of fitted parts."""
    raw = [
        part.weight * heads.predict(part.head, arrays, [features[source] for source in part.reads])
        for part, arrays in zip(parts, fitted, strict=True)
    ]
    return np.asarray(np.sum(raw, axis=0), np.float64)


def training_set(labels: Labels) -> Arrays:
    """Fingerprints of what a classifier is trained on: enough to recognise a document, not to restore it."""
    return {
        "ids": np.unique([fingerprint(i) for i in labels.ids]),
        "texts": np.unique([fingerprint(plain(t)) for t in labels.texts]),
    }


def plain(text: str) -> str:
    """``text`` in lower case and without signs and spaces, so that a copy with other spacing is recognised."""
    return "".join(c for c in text.lower() if c.isalnum())


def write_description(path: Path, classifier: EducationalClassifier, files: Sequence[Mapping[str, Any]]) -> None:
    """Write ``classifier.json``."""
    from common.files import write_json

    values = classifier.description.model_dump(mode="json") | {"digest": classifier.digest}
    write_json(path, values | dict(classifier.about) | {"files": list(files)})


def _check_listed(folder: Path, values: Any) -> None:
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise InputError(f"{folder / DESCRIPTION} does not describe an {KIND}")
    entries = values.get("files")
    shaped = isinstance(entries, list) and all(isinstance(e, dict) and {"path", "sha256"} <= e.keys() for e in entries)
    if not shaped or not entries:
        raise IntegrityError(f"{folder / DESCRIPTION} lists no files with their sha256")
    for entry in entries:
        if len(PurePosixPath(str(entry["path"])).parts) != 1 or str(entry["path"]) == "..":
            raise IntegrityError(f"{folder / DESCRIPTION} lists {entry['path']!r}, which lies outside the directory")
        if not str(entry["path"]).endswith(KNOWN_SUFFIXES):
            raise IntegrityError(f"{folder / str(entry['path'])} is none of {', '.join(KNOWN_SUFFIXES)}: not opened")
    if links := sorted(f for f in folder.iterdir() if f.is_symlink()):
        raise IntegrityError(f"{links[0]} is a link; a classifier directory holds its files itself")
    check_files(folder, entries)
    extra = sorted({f.name for f in folder.iterdir()} - {str(e["path"]) for e in entries} - {DESCRIPTION})
    if extra:
        raise IntegrityError(f"{folder / extra[0]} is not listed in {DESCRIPTION}: remove it or train again")
    missing = sorted({WEIGHTS, TRAINING_SET} - {str(e["path"]) for e in entries})
    if missing:
        raise IntegrityError(f"{folder / DESCRIPTION} does not list {missing[0]}")


def _read_arrays(path: Path) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays: Arrays = load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise IntegrityError(f"{path} is not a safetensors file: {error}") from error
    return arrays


def _from_arrays(description: Description, arrays: Arrays, folder: Path) -> EducationalClassifier:
    def below(prefix: str) -> Arrays:
        return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}

    adapters = below("adapter/")
    given = {*map(layer_name, description.layers), *([STATIC] if below("static/") else [])}
    lacking = sorted({name for part in description.parts for name in part.reads} - given)
    if lacking:
        raise IntegrityError(f"{folder / DESCRIPTION}: a part reads {lacking[0]!r}, which the encoders do not give")
    fitted = tuple(below(f"part/{place}/") for place, _ in enumerate(description.parts))
    for part, head in zip(description.parts, fitted, strict=True):
        heads.check(part.head, head)
    try:
        calibration = Calibration(**below("calibration/"))
        return EducationalClassifier(
            description=description,
            calibration=calibration,
            heads=fitted,
            static=StaticEncoder(**below("static/")) if below("static/") else None,
            adapters={
                name[: -len("/up")]: (up, adapters[f"{name[: -len('/up')]}/down"])
                for name, up in adapters.items()
                if name.endswith("/up")
            },
            cascade=Cascade.from_arrays(below("cascade/"), calibration) if below("cascade/") else None,
        )
    except (TypeError, KeyError) as error:
        raise IntegrityError(f"{folder / WEIGHTS} does not hold the arrays of a classifier: {error}") from error
