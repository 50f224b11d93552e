"""Static encoders: a vector for every token, averaged over a text; thousands of documents a second.

:class:`StaticModel` is an encoder of its own, in the folder format of model2vec (``model.safetensors`` with
``embeddings``, ``tokenizer.json``, ``config.json``): published ones are read, and what ``classifiers distill`` writes
can be read by model2vec and sentence-transformers. :class:`StaticEncoder` is the small table beside a transformer whose
tokens it shares.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.model_files import folder_digest, resolve
from common.errors import InputError, IntegrityError, SettingsError
from common.files import publish_folder, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    Vectors = NDArray[np.float32]

Tokens = Sequence[int]
"""Token ids of one window."""
EMBEDDINGS = "embeddings"
"""Name of the table in the file, and of its low-rank change among the adapters of a classifier."""
WEIGHT_FILES = ("model.safetensors", "0_StaticEmbedding/model.safetensors")
TABLE_NAMES = (EMBEDDINGS, "embedding.weight")
BLOCK_DOCUMENTS = 256


class StaticModel:
    """A static encoder in model2vec's format.

    Tokens are what model2vec takes: without marks at the ends, and without the unknown token. The window takes the
    place of model2vec's own limit of 512 tokens, and vectors are not brought to length one: the length says something
    to a head.
    """

    layers = (0,)

    def __init__(self, reference: str, layers: Sequence[int] = (0,)) -> None:
        """Load the model that ``reference`` names.

        Raises:
            SettingsError: if other layers than 0, its output, are wanted.
            IntegrityError: if the folder's files do not fit together.
        """
        if tuple(layers) != self.layers:
            raise SettingsError(
                f"{reference} is a static encoder and has no layers to choose from: say layers 0 and "
                f"static_dimensions 0 (--preset static), got layers {', '.join(map(str, layers))}"
            )
        from tokenizers import Tokenizer

        self.reference = reference
        folder = resolve(reference)
        self.digest = folder_digest(folder)
        weights = _weight_file(folder)
        if weights is None:
            raise InputError(f"{folder} is not a static encoder: it has no table of embeddings")
        if not weights.with_name("tokenizer.json").is_file():
            raise InputError(f"{folder} is not a static encoder: it has no tokenizer.json")
        self.tokenizer: Tokenizer = Tokenizer.from_file(str(weights.with_name("tokenizer.json")))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.vectors = _read_vectors(weights)
        size = self.tokenizer.get_vocab_size()
        if len(self.vectors) != size:
            raise IntegrityError(f"{weights} has {len(self.vectors)} vectors, and its tokenizer {size} tokens")
        self.dimensions = int(self.vectors.shape[1])
        self._unknown = unknown_token(self.tokenizer)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of every text, uncut."""
        found = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [[token for token in encoding.ids if token != self._unknown] for encoding in found]

    def embed(
        self, tokens: Sequence[Tokens], threads: int = 1, advance: Callable[[int], object] | None = None
    ) -> Vectors:
        """Mean vectors, float32[n, 1, dimensions]; zeros for a text without tokens. One thread is quick enough."""
        found = np.empty((len(tokens), 1, self.dimensions), np.float32)
        for start in range(0, len(tokens), BLOCK_DOCUMENTS):
            block = tokens[start : start + BLOCK_DOCUMENTS]
            found[start : start + len(block), 0] = mean_vectors(self.vectors, block)
            if advance:
                advance(len(block))
        return found

    def add_adapters(self, adapters: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]) -> None:
        """Add the low-rank change of the table: ``embeddings += up @ down``.

        Raises:
            IntegrityError: if the change is not one of this table.
        """
        for name, (up, down) in adapters.items():
            if name != EMBEDDINGS or (up.shape[0], down.shape[1]) != self.vectors.shape:
                raise IntegrityError(f"the adapter {name!r} does not fit the encoder {self.reference}")
            self.vectors = self.vectors + up.astype(np.float32) @ down.astype(np.float32)


class StaticEncoder:
    """The table beside a transformer, int8 with one scale a token; it reads the transformer's own tokens."""

    def __init__(self, table: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
        self.table, self.scales = table, scales
        self.dimensions = int(table.shape[1])
        self._vectors = table.astype(np.float32) * scales.astype(np.float32)[:, None]

    def embed(self, tokens: Sequence[Tokens]) -> Vectors:
        """Mean token vectors, float32[n, dimensions]; zeros for a text without tokens."""
        return mean_vectors(self._vectors, tokens)

    @classmethod
    def from_vectors(cls, vectors: Vectors) -> StaticEncoder:
        """Round float vectors to int8, each token on its own scale."""
        scales = np.maximum(np.abs(vectors).max(axis=1), 1e-12).astype(np.float32) / 127
        return cls(np.rint(vectors / scales[:, None]).astype(np.int8), scales)


def mean_vectors(vectors: Vectors, tokens: Sequence[Tokens | NDArray[np.int64]]) -> Vectors:
    """Mean of the vectors of each text's tokens, float32[n, dimensions]; zeros for a text without tokens."""
    result = np.zeros((len(tokens), vectors.shape[1]), np.float32)
    for place, found in enumerate(tokens):
        if len(found):
            result[place] = vectors[np.asarray(found)].mean(axis=0)
    return result


def is_static(folder: Path) -> bool:
    """Whether a folder holds a static encoder."""
    return _weight_file(folder) is not None


def check_static_target(path: Path | str) -> None:
    """Refuse to replace anything but a static encoder.

    Raises:
        SettingsError: if ``path`` is a file, or a folder that holds something else.
    """
    target = Path(path)
    if target.exists() and (target.is_file() or (any(target.iterdir()) and not is_static(target))):
        raise SettingsError(f"{path} exists and is not a static encoder; name a new one")


def write_static(path: Path | str, vectors: Vectors, tokenizer: Tokenizer, about: Mapping[str, Any]) -> None:
    """Publish a static encoder as a folder that model2vec and sentence-transformers read; same inputs, same bytes."""
    from safetensors.numpy import save_file

    check_static_target(path)
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": False, "max_length": None}
    module = {"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"}
    with publish_folder(path) as folder:
        save_file({EMBEDDINGS: np.ascontiguousarray(vectors, np.float32)}, folder / "model.safetensors")
        (folder / "model.safetensors").chmod(0o644)  # safetensors writes for the owner alone
        (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
        write_json(folder / "config.json", config | {"hidden_dim": vectors.shape[1], **about})
        write_json(folder / "modules.json", [module])


def unknown_token(tokenizer: Tokenizer) -> int | None:
    """Id of the token that stands for what a vocabulary lacks, if it has one."""
    model = json.loads(tokenizer.to_str())["model"]
    if "unk_id" in model:  # Unigram names the id, the others the token
        return None if model["unk_id"] is None else int(model["unk_id"])
    name = model.get("unk_token")
    return tokenizer.token_to_id(name) if name else None


def _weight_file(folder: Path) -> Path | None:
    for name in WEIGHT_FILES:
        if (folder / name).is_file() and set(TABLE_NAMES) & _names(folder / name):
            return folder / name
    return None


def _names(path: Path) -> set[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return set(file.keys())
    except SafetensorError as error:
        raise IntegrityError(f"{path} is not a safetensors file: {error}") from error


def _read_vectors(path: Path) -> Vectors:
    """One vector a token: model2vec may share vectors between tokens and keep a weight for each."""
    from safetensors.numpy import load_file

    arrays = load_file(path)
    table = next(arrays[name] for name in TABLE_NAMES if name in arrays).astype(np.float32)
    if "mapping" in arrays:
        table = table[arrays["mapping"]]
    if "weights" in arrays:
        table = table * arrays["weights"].astype(np.float32)[:, None]
    return np.asarray(table, np.float32)
