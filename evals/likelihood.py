"""Log-probability of whole documents under a model, in nats.

A document is scored by itself: it follows an end-of-text token, as it did in training, and every token of it is
predicted. One longer than the context is read in windows that overlap: each window predicts only the tokens that no
earlier one has predicted, so that every token counts exactly once and, with a stride of half the context, is predicted
from at least half a context or from everything before it.

Bits per byte = -log-probability / (ln 2 · UTF-8 bytes): it does not depend on the tokenizer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.errors import SettingsError

if TYPE_CHECKING:
    import torch

HEAD_ROWS, HEAD_COLUMNS = 256, 1024
"""Positions and words whose logits are in memory at once: 1 MB stays in a CPU's cache. For a small model, most of whose
work is its 51,200 logits, that is three times as fast as all words at once."""


@dataclass(frozen=True)
class Window:
    """A part of a document: the model reads tokens ``start`` to ``stop``, predicts from ``first`` on.

    Positions count the end-of-text token in front as 0; the token at position p is predicted from those before it.
    """

    document: int
    start: int
    first: int
    stop: int

    @property
    def length(self) -> int:
        """Tokens that the model reads."""
        return self.stop - self.start

    @property
    def new(self) -> int:
        """Tokens that it predicts."""
        return self.stop + 1 - self.first


def windows(document: int, tokens: int, context_length: int, stride: int) -> Iterator[Window]:
    """Windows that predict each of the ``tokens`` tokens of a document exactly once.

    Raises:
        SettingsError: unless 1 <= stride <= context_length.

    >>> [(w.start, w.first, w.stop) for w in windows(0, 9, context_length=4, stride=2)]
    [(0, 1, 4), (2, 5, 6), (4, 7, 8), (6, 9, 9)]
    """
    if not 1 <= stride <= context_length:
        raise SettingsError(f"stride ({stride}) must be from 1 to the context length ({context_length})")
    start, first = 0, 1
    while first <= tokens:
        stop = min(start + context_length, tokens)
        yield Window(document, start, first, stop)
        first = stop + 1
        start += stride


class Scorer:
    """A causal model from a folder that ``save_pretrained`` wrote, in float32.

    Args:
        folder: model (safetensors) and tokenizer; nothing is fetched and no code from it is run.
        device: ``cpu``, ``cuda``, or ``auto``.
    Raises:
        SettingsError: if a GPU is asked for where there is none.
    """

    def __init__(self, folder: Path, device: str = "auto") -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        if device == "cuda" and not torch.cuda.is_available():
            raise SettingsError("device cuda: this machine has no GPU that torch can use; take --device cpu")
        self.device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        if self.device == "cpu":
            os.environ.setdefault(
                "DS_ACCELERATOR", "cpu"
            )  # transformers looks for deepspeed, which warns when it guesses
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.tokenizer.model_max_length = 1 << 62  # long documents are cut into windows here
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        self.model = loaded.to(self.device).eval()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids; the end-of-text mark in a text is plain text, as in training."""
        encoded = self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def log_probabilities(
        self,
        documents: Sequence[Sequence[int]],
        context_length: int,
        stride: int,
        batch_tokens: int,
        report: Callable[[int], Any] | None = None,
    ) -> NDArray[np.float64]:
        """Log-probability of every document, float64[n], in nats.

        Args:
            documents: token ids of each, without an end-of-text token.
            context_length: tokens that the model reads at once.
            stride: see :func:`windows`.
            batch_tokens: tokens of a batch, padding included.
            report: is called with the number of predicted tokens after each batch.
        """
        end = int(self.tokenizer.eos_token_id)
        sequences = [np.array([end, *ids], dtype=np.int64) for ids in documents]
        work = [w for i, ids in enumerate(documents) for w in windows(i, len(ids), context_length, stride)]
        return self._totals(work, sequences, batch_tokens, lambda batch: report and report(sum(w.new for w in batch)))

    def continuations(
        self,
        pairs: Sequence[tuple[str, str]],
        context_length: int,
        batch_tokens: int,
        report: Callable[[int], Any] | None = None,
    ) -> NDArray[np.float64]:
        """Log-probability of each text after another, float64[n], in nats.

        As lm-evaluation-harness has it: the two are encoded as one text, spaces between them count to the second, no
        end-of-text token stands in front unless the first is empty, and what does not fit in is cut off at the left.

        A text that is longer than the context is read in windows, as a document is.

        Args:
            pairs: a context and what follows it.
            context_length: tokens that the model reads at once.
            batch_tokens: tokens of a batch, padding included.
            report: is called with the number of texts after each batch.
        """
        moved = [(context.rstrip(), context[len(context.rstrip()) :] + text) for context, text in pairs]
        whole = self.encode([context + text for context, text in moved])
        contexts = self.encode([context for context, _ in moved])
        end = int(self.tokenizer.eos_token_id)
        sequences: list[NDArray[np.int64]] = []
        work: list[Window] = []
        for number, (ids, before) in enumerate(zip(whole, contexts, strict=True)):
            sequence = np.array(ids if before else [end, *ids], dtype=np.int64)
            sequences.append(sequence)
            work.extend(_continuation(number, len(before) or 1, len(sequence) - 1, context_length))
        return self._totals(work, sequences, batch_tokens, lambda batch: report and report(len(batch)))

    def write_on(self, prompt: str, tokens: int) -> str:
        """The most likely continuation of ``prompt``, word by word."""
        import torch

        end: int = self.tokenizer.eos_token_id
        ids = torch.tensor([[end, *self.encode([prompt])[0]]], device=self.device)
        with torch.inference_mode():
            written = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=min(tokens, self.model.config.max_position_embeddings - ids.shape[1]),
                do_sample=False,
                pad_token_id=end,
            )
        return str(self.tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True))

    def _totals(
        self,
        work: list[Window],
        sequences: Sequence[NDArray[np.int64]],
        batch_tokens: int,
        report: Callable[[Sequence[Window]], Any],
    ) -> NDArray[np.float64]:
        """Log-probability of every sequence over its windows."""
        import torch

        work.sort(key=lambda window: -window.length)  # alike lengths side by side; a stable sort, so repeatable
        totals = np.zeros(len(sequences), dtype=np.float64)
        with torch.inference_mode():
            for batch in _batches(work, batch_tokens):
                owners, values = self._score(batch, sequences)
                np.add.at(totals, owners, values)
                report(batch)
        return totals

    def _score(
        self, batch: Sequence[Window], sequences: Sequence[NDArray[np.int64]]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Document and log-probability of every token that the windows of a batch predict."""
        import torch

        # padding stands to the right, where a causal model cannot see it from any real position
        inputs_bt = np.zeros((len(batch), batch[0].length), dtype=np.int64)
        for row, window in enumerate(batch):
            inputs_bt[row, : window.length] = sequences[window.document][window.start : window.stop]
        counts = [window.new for window in batch]
        # answers of one token to the same question have the same input: once through the model is enough
        inputs_bt, row_of = np.unique(inputs_bt, axis=0, return_inverse=True)
        rows_n = np.repeat(row_of, counts)
        columns_n = np.concatenate([np.arange(w.first - 1, w.stop) - w.start for w in batch])
        targets_n = np.concatenate([sequences[w.document][w.first : w.stop + 1] for w in batch])
        owners_n = np.repeat([window.document for window in batch], counts)

        inputs = torch.from_numpy(inputs_bt).to(self.device)
        hidden_btd = self.model.base_model(input_ids=inputs, use_cache=False).last_hidden_state
        hidden_nd = hidden_btd[torch.from_numpy(rows_n), torch.from_numpy(columns_n)]
        targets = torch.from_numpy(targets_n).to(self.device)
        head = self.model.get_output_embeddings()
        values = [
            target_log_probability(hidden, target, head.weight, head.bias)
            for hidden, target in zip(hidden_nd.split(HEAD_ROWS), targets.split(HEAD_ROWS), strict=True)
        ]
        return owners_n, torch.cat(values).double().cpu().numpy()


def _continuation(number: int, first: int, last: int, context_length: int) -> Iterator[Window]:
    """Windows that predict positions ``first`` to ``last``: one that ends with the text, if the text fits."""
    start = max(0, last - context_length)
    if start < first:
        yield Window(number, start, first, last)
        return
    for window in windows(number, last, context_length, max(1, context_length // 2)):
        if window.stop >= first:
            yield Window(number, window.start, max(window.first, first), window.stop)


def target_log_probability(
    hidden_nd: torch.Tensor, targets_n: torch.Tensor, weight_vd: torch.Tensor, bias_v: torch.Tensor | None
) -> torch.Tensor:
    """Log-softmax of the targets' logits; the logits are never whole in memory.

    Returns:
        float32[n].
    """
    import torch

    bias_v = weight_vd.new_zeros(len(weight_vd)) if bias_v is None else bias_v
    sums = [
        torch.nn.functional.linear(hidden_nd, weight, bias).logsumexp(dim=1)
        for weight, bias in zip(weight_vd.split(HEAD_COLUMNS), bias_v.split(HEAD_COLUMNS), strict=True)
    ]
    chosen_n = (hidden_nd * weight_vd[targets_n]).sum(dim=1) + bias_v[targets_n]
    return chosen_n - torch.stack(sums, dim=1).logsumexp(dim=1)


def _batches(work: Sequence[Window], batch_tokens: int) -> Iterator[Sequence[Window]]:
    """Windows in the order given, longest first, as many at once as fit, and at least one."""
    start = 0
    while start < len(work):
        count = max(1, batch_tokens // work[start].length)
        yield work[start : start + count]
        start += count
