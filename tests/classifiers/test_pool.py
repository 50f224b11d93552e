import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.compare_settings import Rule
from classifiers.pool import Pool, draw, fetch, keep, kept_at_share, score_pool, tie
from common.errors import InputError, SettingsError
from common.tokenizer import load_tokenizer
from filters.budget import cut

identities = st.lists(st.text(max_size=4), min_size=1, max_size=40, unique=True)


class Counting:
    """Scores a text by its length and counts what it was asked."""

    def __init__(self, digest="a", sign=1):
        self.digest, self.sign, self.asked = digest, sign, []

    def measure(self, texts, threads, advance):
        self.asked += texts
        return SimpleNamespace(scores=np.array([2 + self.sign * len(t) / 1000 for t in texts], np.float32))


def a_pool(count=40, seed=0):
    generator = np.random.default_rng(seed)
    scores = tuple(generator.integers(0, 6, count).astype(np.float32) for _ in range(2))
    ties = np.array([tie(f"d{n}") for n in range(count)], np.uint64)
    return Pool(scores, generator.integers(1, 90, count), ties, np.zeros(count, np.int64), ("one",))


@given(data=st.data(), ids=identities, fraction=st.sampled_from([0.01, 0.1, 0.3, 0.5, 0.99]))
def test_a_share_keeps_exactly_what_the_budget_cut_of_filters_keeps(data, ids, fraction):
    scores = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(ids), max_size=len(ids))), np.float32)
    tokens = np.array(data.draw(st.lists(st.integers(0, 50), min_size=len(ids), max_size=len(ids))))
    ties = np.array([tie(i) for i in ids], np.uint64)
    budget = int(round(fraction * 100) * tokens.sum()) // 100
    if budget < 1:
        return
    expected = cut(scores, tokens, ids, budget).kept
    assert kept_at_share(scores, tokens, ties, fraction).tolist() == expected.tolist()


def test_what_is_gained_lost_and_shared_adds_up():
    pool = a_pool()
    kept = keep(pool, Rule(keep_fraction=0.3))
    for unit in ("documents", "tokens"):
        amount = {name: getattr(value, unit) for name, value in kept.amounts.items()}
        assert amount["both"] + amount["gained"] == amount["challenger"]
        assert amount["both"] + amount["lost"] == amount["champion"]
        either = amount["both"] + amount["gained"] + amount["lost"]
        assert kept.overlap(unit) == pytest.approx(amount["both"] / either, abs=1e-4)
    assert kept.amounts["pool"].tokens == pool.tokens.sum()
    assert max(kept.amounts[name].tokens for name in ("champion", "challenger")) <= 0.3 * pool.tokens.sum()


def test_a_threshold_keeps_scores_from_it_on_and_may_keep_nothing():
    pool = a_pool()
    kept = keep(pool, Rule(threshold=3))
    assert [m.tolist() for m in kept.masks] == [(s >= 3).tolist() for s in pool.scores]
    assert kept.thresholds == (3, 3)
    low = Pool((pool.scores[0] * 0, pool.scores[1] * 0), pool.tokens, pool.ties, pool.source, pool.names)
    empty = keep(low, Rule(threshold=3))
    assert (empty.thresholds, empty.overlap("tokens")) == ((None, None), None)


def test_a_share_that_holds_no_document_is_refused():
    with pytest.raises(SettingsError, match=r"keep_fraction 0.0001 of the pool's .* tokens holds not one document"):
        keep(a_pool(), Rule(keep_fraction=0.0001))


def test_a_share_and_a_threshold_exclude_each_other():
    with pytest.raises(SettingsError, match=r"keep_fraction 0.2 and threshold 3 exclude each other"):
        Rule.parse({"keep_fraction": 0.2, "threshold": 3})


def test_which_documents_are_quoted_does_not_depend_on_the_order_of_the_pool():
    pool, turned = a_pool(), np.arange(40)[::-1]
    other = Pool(tuple(s[turned] for s in pool.scores), pool.tokens[turned], pool.ties[turned], pool.source, pool.names)
    mask = np.arange(40) % 2 == 0
    assert [39 - place for place in draw(other, mask[turned], 5)] == draw(pool, mask, 5)
    assert len(draw(pool, mask, 100)) == 20


@pytest.fixture
def pool_file(tmp_path):
    def write(count, **more):
        rows = [{"id": n, "text": "word " * (n % 7), **more} for n in range(count)]
        (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(tmp_path / "pool.jsonl")

    return write


def test_every_document_is_scored_once_by_each_in_the_order_of_the_input(pool_file):
    classifiers = Counting("a"), Counting("b", sign=-1)
    pool = score_pool(pool_file(1500), classifiers)
    texts = ["word " * (n % 7) for n in range(1500)]
    assert [c.asked for c in classifiers] == [texts, texts]
    assert pool.tokens.tolist() == [load_tokenizer().count(text) for text in texts]
    assert pool.scores[0].tolist() == np.float32([2 + len(t) / 1000 for t in texts]).tolist()
    assert pool.scores[1].tolist() == np.float32([2 - len(t) / 1000 for t in texts]).tolist()
    assert pool.names == ("(not named)",)


def test_the_same_classifier_scores_once(pool_file):
    champion, challenger = Counting("a"), Counting("a")
    pool = score_pool(pool_file(10), (champion, challenger))
    assert (len(champion.asked), challenger.asked) == (10, [])
    assert pool.scores[0].tolist() == pool.scores[1].tolist()


def test_sources_are_read_from_the_column_and_a_missing_column_is_named(pool_file):
    pool = score_pool(pool_file(4, source=None, shelf="x"), (Counting(), Counting()), "shelf")
    assert pool.names == ("x",)
    with pytest.raises(InputError, match="no field 'shlef'"):
        score_pool(pool_file(4, shelf="x"), (Counting(), Counting()), "shlef")


def test_texts_are_found_again_across_blocks_and_a_changed_pool_is_noticed(pool_file):
    source = pool_file(1500)
    pool = score_pool(source, (Counting(), Counting()))
    assert {place: row["id"] for place, row in fetch(source, pool, [1400, 3]).items()} == {3: 3, 1400: 1400}
    assert fetch(source, pool, []) == {}
    with pytest.raises(InputError, match="changed while it was read"):
        fetch(pool_file(1200), pool, [1400, 3])


def test_scores_too_coarse_for_the_rule_are_refused_and_named():
    pool = a_pool(600)
    fine = pool.scores[0] + np.linspace(0, 0.5, 600, dtype=np.float32)
    coarse = Pool((fine, pool.scores[1]), pool.tokens, pool.ties, pool.source, pool.names)
    with pytest.raises(InputError, match=r"chance and not the challenger would choose"):
        keep(coarse, Rule(keep_fraction=0.3))
