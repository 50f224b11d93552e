"""The rules give datatrove's verdicts on real pages: ``benchmarks/rules.py`` in short."""

import pytest

from benchmarks.rules import agree, compare, our_rules, read_texts, spread, their_rules
from filters.rules import RULES
from tests.conftest import shared


@pytest.fixture(scope="module")
def texts():
    pytest.importorskip("spacy")
    found = [
        text for name in ("00", "03") for text in read_texts(str(shared(f"crawl/pages-{name}.warc.gz")), "resiliparse")
    ]
    return spread([text for text in found if len(text) < 8_000], 200)  # long ones take spaCy too long for a test


def test_every_rule_set_and_all_together_agree_with_datatrove_on_98_pages_of_100(texts):
    chains = {name: [name] for name in RULES} | {"together": list(RULES)}
    ours = {name: our_rules(chain) for name, chain in chains.items()}
    theirs = {name: their_rules(chain) for name, chain in chains.items()}
    pairs = [{name: (ours[name](text), theirs[name](text)) for name in chains} for text in texts]
    assert len(pairs) == 200
    for name in chains:
        kept = sum(pair[name][0][0] is None for pair in pairs)
        assert 100 < kept < 200, "a rule set that keeps all or nothing proves nothing"
        differing = [pair[name] for pair in pairs if not agree(*pair[name])]
        assert len(differing) <= 0.02 * len(pairs), (name, differing)


def test_one_tokenisation_is_at_least_four_times_as_fast_as_one_a_filter(texts):
    rows, disagreements = compare(spread(texts, 20), repeats=1)
    assert [row["rules"] for row in rows] == ["gopher_repetition", "gopher_quality", "c4", "fineweb", "together"]
    assert rows[-1]["ratio"] >= 4, rows
    assert len(disagreements) == sum(row["differing"] for row in rows)


def test_agreement_is_on_the_verdict_and_on_the_text_that_is_kept():
    assert agree((None, "a"), (None, "a"))
    assert not agree((None, "a"), (None, "b"))
    assert not agree(("x", "a"), (None, "a"))
    assert agree(("x", "a"), ("y", "b"))
