import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import builds, floats, integers, lists, sampled_from, text
from pydantic import ValidationError

from classifiers.windows import Window, cut, head, pool, share_seen, spans

POLICIES = ["head", "begin_middle_end", "all"]
POOLINGS = ["mean", "token_mean", "max"]
windows = builds(
    Window,
    policy=sampled_from(POLICIES),
    characters=integers(1, 50),
    max_windows=integers(1, 9),
    pooling=sampled_from(POOLINGS),
)
documents = lists(lists(floats(-9, 9), min_size=1, max_size=6), min_size=1, max_size=6)


def pooled(scores, pooling, tokens=None):
    flat = [score for document in scores for score in document]
    return pool(np.array(flat), [len(document) for document in scores], tokens or [7] * len(flat), pooling)


def test_the_head_window_is_the_first_characters_and_no_more():
    assert cut("abcdef", Window(characters=4)) == ["abcd"]
    assert cut("abc", Window(characters=4)) == ["abc"]


def test_three_windows_are_the_first_the_middle_and_the_last_characters():
    assert cut("abcdefghijk", Window(characters=3, policy="begin_middle_end")) == ["abc", "efg", "ijk"]


def test_a_document_that_fits_is_divided_evenly_and_read_whole():
    assert cut("abcdefg", Window(characters=3, policy="all")) == ["ab", "cd", "efg"]


@given(length=integers(0, 900), window=windows)
def test_windows_are_in_order_within_the_text_and_no_character_is_read_twice(length, window):
    found = spans(length, window)
    edges = [edge for span in found for edge in span]
    assert edges == sorted(edges)
    assert (edges[0], edges[-1] <= length) == (0, True)
    assert 1 <= len(found) <= window.most
    assert all(end - start <= window.characters for start, end in found)


@given(length=integers(1, 900), window=windows)
def test_as_much_is_read_as_the_windows_may_hold(length, window):
    assert share_seen("x" * length, window) == min(length, window.most * window.characters) / length


@given(length=integers(2, 900), window=windows)
def test_the_last_character_is_read_wherever_there_is_more_than_one_window(length, window):
    found = spans(length, window)
    assert len(found) == 1 or found[-1][1] == length


@given(value=text(), window=windows)
def test_the_windows_are_the_text_at_the_spans(value, window):
    assert "".join(cut(value, window)) == "".join(value[start:end] for start, end in spans(len(value), window))


@given(value=text(), window=windows)
def test_what_is_trained_on_is_a_prefix_whatever_the_policy(value, window):
    assert [head(value, window)] == cut(value, Window(characters=window.characters))


def test_a_lone_surrogate_becomes_a_question_mark():
    assert cut("a\ud800b", Window()) == ["a?b"]
    assert head("a\ud800b", Window()) == "a?b"


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValidationError, match="'head'"):
        Window(policy="tail")


def test_what_a_policy_does_not_use_is_not_recorded():
    assert Window(pooling="max").model_dump() == {"policy": "head", "characters": 1500, "tokens": 400}
    assert Window(policy="all", pooling="max").model_dump()["pooling"] == "max"


@given(score=floats(-9, 9), tokens=integers(0, 500), pooling=sampled_from(POOLINGS))
def test_a_document_of_one_window_keeps_its_score_to_the_last_bit(score, tokens, pooling):
    assert pool(np.array([score]), [1], [tokens], pooling).tolist() == [score]


@given(scores=documents, pooling=sampled_from(POOLINGS))
def test_a_document_lies_between_its_worst_and_its_best_window(scores, pooling):
    found = pooled(scores, pooling)
    assert (found >= [min(document) - 1e-9 for document in scores]).all()
    assert (found <= [max(document) + 1e-9 for document in scores]).all()


@given(scores=documents, gain=floats(0, 5), pooling=sampled_from(POOLINGS))
def test_a_better_window_never_makes_a_document_worse(scores, gain, pooling):
    better = [[document[0] + gain, *document[1:]] for document in scores]
    assert (pooled(better, pooling) >= pooled(scores, pooling) - 1e-9).all()


@given(scores=documents, pooling=sampled_from(POOLINGS))
def test_the_order_of_windows_and_the_other_documents_do_not_matter(scores, pooling):
    turned = pooled([document[::-1] for document in scores], pooling)
    alone = [pooled([document], pooling)[0] for document in scores]
    assert turned == pytest.approx(pooled(scores, pooling), abs=1e-9)
    assert alone == pytest.approx(pooled(scores, pooling), abs=1e-9)


def test_a_mean_by_tokens_is_the_mean_over_tokens():
    assert pooled([[1, 4], [2]], "token_mean", tokens=[300, 100, 0]).tolist() == [1.75, 2]
    assert pooled([[1, 4], [2]], "mean", tokens=[300, 100, 0]).tolist() == [2.5, 2]


def test_no_documents_have_no_scores():
    assert pool(np.empty(0), [], [], "mean").shape == (0,)
