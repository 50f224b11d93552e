"""Tiny sentence-transformers models with random weights, of several architectures, as folders."""

from pathlib import Path
from typing import Any

from tests.classifiers.helpers import VOCABULARY

LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)]
PIECES = list(dict.fromkeys([*VOCABULARY, *LETTERS, *(f"##{c}" for c in LETTERS), ".", "!"]))
SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
POSITIONS = 40
ARCHITECTURES = ("MPNet", "Roberta", "ModernBert", "DistilBert")


def build(folder: Path, architecture: str, pooling: str = "mean", dense: int | None = None) -> Path:
    """Save a model below ``folder`` and give its path. Padding is the first, second or last of the vocabulary."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    place = {"Bert": 0, "DistilBert": 0, "MPNet": 1, "Roberta": 1}.get(architecture)
    others = [mark for mark in marks if mark != "[PAD]"] + PIECES
    words = [*others, "[PAD]"] if place is None else [*others[:place], "[PAD]", *others[place:]]
    ids = {f"{name.lower()}_token_id": words.index(mark) for name, mark in (("pad", "[PAD]"), ("bos", "[CLS]"))}
    shape = SHAPE | ids | {"vocab_size": len(words), "max_position_embeddings": POSITIONS}
    if architecture == "ModernBert":
        shape |= {"cls_token_id": ids["bos_token_id"], "sep_token_id": words.index("[SEP]"), "eos_token_id": None}
    config = getattr(transformers, f"{architecture}Config")(**shape)
    torch.manual_seed(0)
    getattr(transformers, f"{architecture}Model")(config).save_pretrained(folder / "network")
    _tokenizer(words, marks).save_pretrained(folder / "network")
    modules: list[Any] = [Transformer(str(folder / "network"), max_seq_length=POSITIONS - 4), Pooling(16, pooling)]
    modules += [Dense(16, dense)] if dense else []
    SentenceTransformer(modules=[*modules, Normalize()], device="cpu").save(str(folder / "model"))
    return folder / "model"


def _tokenizer(words: list[str], marks: list[str]) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(mark, words.index(mark)) for mark in ("[CLS]", "[SEP]")]
    )
    names = {f"{mark[1:-1].lower()}_token": mark for mark in marks}
    return PreTrainedTokenizerFast(tokenizer_object=raw, **names)
