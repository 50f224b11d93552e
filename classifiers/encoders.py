"""Text to vectors: a sentence-transformers model, or a static table of token vectors.

Embeddings depend in the seventh digit on what else is in a batch. So batches are formed the same way whatever the
number of workers: documents in blocks of fixed size, sorted by length inside a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.model_files import check_safetensors, folder_digest, resolve
from classifiers.static import StaticModel, Tokens, is_static
from common.errors import IntegrityError, SettingsError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    Vectors = NDArray[np.float32]

BLOCK_DOCUMENTS = 256
BATCH_TOKENS = 4096


def load_encoder(reference: str, max_tokens: int, layers: Sequence[int]) -> Encoder:
    """The encoder that ``reference`` names: static if its folder holds a table of token vectors, else a transformer.

    Raises:
        SettingsError: if it does not have these layers, or could not be read without running code.
        InputError: if there is no such model.
        IntegrityError: if its files are damaged, or not the genuine ones.
    """
    if is_static(resolve(reference)):
        return StaticModel(reference, layers)
    return TransformerEncoder(reference, max_tokens, layers)


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
        network: Any = getattr(self.model[0], "auto_model", None)
        self.tokenizer: Any = getattr(self.model.tokenizer, "backend_tokenizer", None)
        if network is None or self.tokenizer is None:
            raise SettingsError(f"{reference} is neither a transformer with a fast tokenizer nor a static encoder")
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        # else the last state would be the normed output in some models, and so differ with the layers that are kept
        network.config.tie_last_hidden_states = False
        self._network = network
        self.layers = tuple(layers)
        self.dimensions = _columns(self.model, network, self.layers, reference)
        self._padding = int(self.model.tokenizer.pad_token_id or 0)
        self.max_tokens = min(max_tokens, _positions(network) or max_tokens)
        if 0 not in self.layers:
            _keep_layers(network, max(self.layers), reference)

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


def _columns(model: SentenceTransformer, network: Any, layers: Sequence[int], reference: str) -> int:
    """Columns of the vectors that are read; a layer of its own after the pooling may give the output others."""
    inner, output = int(network.config.hidden_size), int(model.get_embedding_dimension() or network.config.hidden_size)
    if inner != output and 0 in layers and any(layers):
        raise SettingsError(
            f"the output of {reference} has {output} columns and its layers have {inner}: read layer 0 or the others, "
            f"got layers {', '.join(map(str, layers))}"
        )
    return inner if any(layers) else output


def _positions(network: Any) -> int | None:
    """Tokens for which a model has positions. RoBERTa and its kin count them from behind the padding's."""
    import torch

    most = getattr(network.config, "max_position_embeddings", None)
    if not most:
        return None
    tables = [m for name, m in network.named_modules() if name.split(".")[-1] == "position_embeddings"]
    padding = next((t.padding_idx for t in tables if isinstance(t, torch.nn.Embedding)), None)
    return int(most) if padding is None else int(most) - int(padding) - 1


def _load(folder: Path) -> SentenceTransformer:
    check_safetensors(folder)
    import transformers
    from sentence_transformers import SentenceTransformer

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        model = SentenceTransformer(
            str(folder),
            device="cpu",
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs={"use_safetensors": True},
        )
    # code of its own is refused here too, as a ValueError
    except (ValueError, OSError, LookupError, TypeError, AttributeError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise SettingsError(f"{folder} cannot be read as a sentence-transformers model: {reason:.300}") from error
    return model.eval()


Encoder = TransformerEncoder | StaticModel
"""What a classifier reads with."""
