"""Languages are told apart without a network, with a probability that can be trusted."""

import gzip
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.settings import read_yaml
from filters.language import CHARACTERS, identify
from tests.conftest import REPOSITORY, shared

SITES = sorted((REPOSITORY / "demo" / "sites").glob("*.yaml"))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cat sat on the mat, and it was warm there, as the sun had shone on it.", "en"),
        ("On entend souvent dire qu'il fait chaud en été parce que la Terre est proche du Soleil.", "fr"),
        ("Die Sonne scheint heute den ganzen Tag, und die Kinder spielen draußen im Garten.", "de"),
        ("El agua hierve a cien grados, pero en la montaña hierve antes porque hay menos presión.", "es"),
        ("A água ferve a cem graus, mas na montanha ferve mais cedo porque a pressão é menor.", "pt"),
        ("水は百度で沸騰しますが、山の上ではもっと低い温度で沸騰します。", "ja"),
        ("Вода кипит при ста градусах, но в горах она закипает раньше, потому что давление воздуха там ниже.", "ru"),
        ("水在一百度沸腾，但是在山上沸腾得更早，因为那里的气压比较低。", "zh"),
    ],
)
def test_a_sentence_is_recognised_with_confidence(text, language):
    found, probability = identify(text)
    assert found == language
    assert 0.65 < probability <= 1


@pytest.mark.parametrize("text", ["", " \n", "12 345 678", "!?… — •"])
def test_a_text_without_letters_has_no_language(text):
    assert identify(text) == ("und", 0.0)


def test_only_the_beginning_is_looked_at():
    english = "The cat sat on the mat, and it was warm there. " * (CHARACTERS // 40)
    assert identify(english + "Вода кипит при ста градусах. " * 10_000) == identify(english)


@settings(max_examples=50)
@given(st.text(max_size=300))
def test_any_text_has_an_answer_with_a_probability(text):
    language, probability = identify(text)
    assert language.isalpha()
    assert 0 <= probability <= 1


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.stem)
def test_the_demo_pages_are_in_the_language_that_they_say(site):
    pages = read_yaml(site)
    texts = [re.sub(r"<[^>]*>|&\w+;", " ", page["body"]) for page in pages["pages"] if page.get("body")]
    found = [identify(text)[0] for text in texts]
    wrong = [language for language in found if language != pages.get("language", "en")]
    assert len(wrong) <= 0.1 * len(found), wrong


def test_real_english_pages_are_recognised_and_kept():
    with gzip.open(shared("crawl/gold_text.jsonl.gz"), "rt", encoding="utf-8") as lines:
        texts = [row["text"] for row in map(json.loads, lines) if row["lang"] == "en"][::6]
    found = [identify(text) for text in texts]
    assert len(found) > 350
    kept = [language == "en" and probability >= 0.65 for language, probability in found]
    assert sum(kept) >= 0.985 * len(kept)
