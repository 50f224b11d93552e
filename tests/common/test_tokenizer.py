import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common import tokenizer as module
from common.errors import IntegrityError
from common.tokenizer import END_OF_TEXT, VOCABULARY_SIZE, hugging_face_tokenizer, load_tokenizer
from tests.conftest import shared

WHITESPACE = st.sampled_from(
    [" ", "  ", "\t", "\t\t", "\n", "\r\n", "\u2003", " " * 40, "\t" * 12, "a", ".", "'s", "7"]
)
TEXTS = st.lists(WHITESPACE | st.text(max_size=5)).map("".join)


@pytest.fixture(scope="module")
def peer():  # type: ignore[no-untyped-def]
    return hugging_face_tokenizer()


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_the_fast_path_equals_the_tokenizers_library(peer, text: str) -> None:  # type: ignore[no-untyped-def]
    assert load_tokenizer().encode(text) == peer(text.replace("<|", "< |"))["input_ids"]


@pytest.mark.parametrize("source", ["code", "synthetic", "forums_reviews_mail"])
def test_the_fast_path_equals_the_tokenizers_library_on_real_text(peer, source: str) -> None:  # type: ignore[no-untyped-def]
    with gzip.open(shared(f"sources/{source}.jsonl.gz"), "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"][:20_000] for line, _ in zip(lines, range(50), strict=False)]
    assert [ids.tolist() for ids in load_tokenizer().encode_batch(texts, threads=2)] == peer(texts)["input_ids"]


@settings(deadline=None)
@given(st.text())
def test_decoding_gives_the_text_back(text: str) -> None:
    assert load_tokenizer().decode(load_tokenizer().encode(text)) == text


@settings(deadline=None)
@given(st.lists(TEXTS | st.sampled_from(["a \ud800 b", "\udfff", "", "<|endoftext|>", "x" * 3000])))
def test_arrays_and_counts_are_those_of_the_lists(texts: list[str]) -> None:
    tokenizer = load_tokenizer()
    lists = [tokenizer.encode(text) for text in texts]
    for threads in (1, 3):
        arrays = tokenizer.encode_batch(texts, threads)
        assert [(ids.dtype.name, ids.tolist()) for ids in arrays] == [("uint32", ids) for ids in lists]
    assert [tokenizer.count(text) for text in texts] == list(map(len, lists))


def test_runs_of_whitespace_are_codegens_own_tokens() -> None:
    encode = load_tokenizer().encode
    assert encode(" " * 31) == [50_257]
    assert encode("  ") == [50_286]
    assert encode("\t" * 9) == [50_287]
    assert encode("\t\t") == [VOCABULARY_SIZE - 1]


def test_an_end_of_text_mark_in_a_page_stays_plain_text() -> None:
    assert END_OF_TEXT not in load_tokenizer().encode("before <|endoftext|> after")


def test_padding_ids_are_left_out_when_decoding() -> None:
    assert load_tokenizer().decode([*load_tokenizer().encode("plain"), 51_199]) == "plain"


def test_files_that_are_not_openais_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module._SHA256, "vocab.bpe", "0" * 64)
    with pytest.raises(IntegrityError, match=r"is not OpenAI's vocab\.bpe: its sha256 differs"):
        hugging_face_tokenizer()


def test_the_saved_tokenizer_loads_with_auto_tokenizer(peer, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from transformers import AutoTokenizer

    peer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "def f(x):\n\treturn  x   # twice\n"
    assert loaded(text)["input_ids"] == load_tokenizer().encode(text)
    assert loaded.eos_token_id == END_OF_TEXT
