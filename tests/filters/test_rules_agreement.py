"""The rules give datatrove's verdicts on real pages: ``benchmarks/rules.py`` in short."""

import pytest

from benchmarks.rules import agree, agreement, compare, cost, read_texts, spread
from tests.conftest import shared


@pytest.fixture(scope="module")
def texts():
    pytest.importorskip("spacy")
    found = read_texts(str(shared("crawl/pages-00.warc.gz")), "resiliparse")
    return spread([text for text in found if len(text) < 8_000], 200)  # long ones take spaCy too long for a test


def test_every_rule_set_and_all_together_agree_with_datatrove_on_98_pages_of_100(texts):
    verdicts = compare(texts)
    assert list(verdicts) == ["gopher_repetition", "gopher_quality", "c4", "fineweb", "together"]
    for name, pairs in verdicts.items():
        row = agreement(name, pairs)
        assert len(pairs) == 200
        assert 100 < row["kept"] < 200, "a rule set that keeps all or nothing proves nothing"
        assert row["agreement"] >= 0.98, [pair for pair in pairs if not agree(*pair)]


def test_one_tokenisation_is_at_least_four_times_as_fast_as_one_a_filter(texts):
    assert cost("together", spread(texts, 40), repeats=1)["ratio"] >= 4


def test_agreement_is_on_the_verdict_and_on_the_text_that_is_kept():
    assert agree((None, "a"), (None, "a"))
    assert not agree((None, "a"), (None, "b"))
    assert not agree(("x", "a"), (None, "a"))
    assert agree(("x", "a"), ("y", "b"))
