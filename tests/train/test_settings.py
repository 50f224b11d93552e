from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import SettingsError
from mixtures.settings import ORDER_VERSION
from train.settings import BatchSettings, TrainSettings, differences

PAPER = TrainSettings(mixture="phi_1_5", data=Path("data"))


def test_the_defaults_are_the_recipe_of_the_paper():
    assert (PAPER.model, PAPER.context_length, PAPER.batch.windows) == ("phi_1_5", 2048, 2048)
    optimizer = PAPER.optimizer
    assert (optimizer.learning_rate, optimizer.weight_decay) == (2e-4, 0.1)
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.9, 0.98, 1e-7)
    assert optimizer.max_gradient_norm is None


def test_150_billion_tokens_are_35763_steps():
    assert (PAPER.tokens, PAPER.steps) == (150_000_000_000, 35_763)
    assert PAPER.run_tokens == 35_763 * 2048 * 2048


@given(windows=st.integers(1, 64), context=st.integers(1, 512), tokens=st.integers(1, 10**7))
def test_tokens_are_rounded_up_by_less_than_one_step(windows, context, tokens):
    values = {"mixture": "web", "data": "d", "context_length": context, "batch": {"windows": windows}}
    if tokens < windows * context:
        with pytest.raises(SettingsError, match=f"tokens \\({tokens:,}\\) are fewer than one step"):
            TrainSettings.parse({**values, "tokens": tokens})
    else:
        settings = TrainSettings.parse({**values, "tokens": tokens})
        assert 0 <= settings.run_tokens - tokens < settings.step_tokens
        assert settings.run_tokens == settings.steps * windows * context


@given(windows=st.integers(1, 512), micro=st.integers(1, 64), world_size=st.integers(1, 64))
def test_a_batch_is_divided_into_equal_micro_steps_without_rest(windows, micro, world_size):
    batch = BatchSettings(windows=windows, micro_windows=micro)
    if windows % world_size:
        with pytest.raises(SettingsError, match=f"batch.windows \\({windows}\\) must be a multiple"):
            batch.division(world_size)
    else:
        size, steps = batch.division(world_size)
        assert size * steps * world_size == windows
        assert 1 <= size <= micro


def test_what_differs_is_named_and_where_the_data_lie_does_not_count():
    other = PAPER.model_copy(
        update={
            "seed": 3,
            "data": Path("elsewhere"),
            "optimizer": PAPER.optimizer.model_copy(update={"learning_rate": 1e-3}),
            "checkpoint": PAPER.checkpoint.model_copy(update={"keep": 9}),
        }
    )
    assert differences(PAPER, other) == ["seed: 0 → 3", "optimizer.learning_rate: 0.0002 → 0.001"]
    assert differences(PAPER, PAPER) == []


@pytest.mark.parametrize(
    ("mixture", "tokens"), [("phi_1_5", 150 * 10**9), ("web_only", 150 * 10**9), ("web", 300 * 10**9)]
)
def test_the_schedule_of_the_paper_trains_each_mixture_on_its_own_tokens(mixture, tokens):
    values = {"mixture": mixture, "data": "d", "schedule": "paper"}
    settings = TrainSettings.parse(values)
    assert settings.tokens == tokens
    assert TrainSettings.parse(settings.model_dump(mode="json")) == settings  # as settings.yaml is read back
    with pytest.raises(SettingsError, match=f"schedule paper trains {mixture} on {tokens:,} tokens, got tokens 7"):
        TrainSettings.parse({**values, "tokens": 7})


def test_a_matched_schedule_trains_every_mixture_on_the_same_tokens():
    runs = [TrainSettings.parse({"mixture": name, "data": "d"}) for name in ("phi_1_5", "web_only", "web")]
    assert {run.run_tokens for run in runs} == {PAPER.run_tokens}


def test_the_paper_has_no_other_mixture():
    with pytest.raises(SettingsError, match=r"the paper has no mixture mine\.yaml: with schedule paper give phi_1_5"):
        TrainSettings.parse({"mixture": "mine.yaml", "data": "d", "schedule": "paper"})


def test_a_run_whose_windows_were_ordered_by_another_version_is_refused():
    values = PAPER.model_dump(mode="json")
    assert values["order_version"] == ORDER_VERSION
    with pytest.raises(SettingsError, match=f"orders windows by version {ORDER_VERSION}.* got {ORDER_VERSION + 1}"):
        TrainSettings.parse(values | {"order_version": ORDER_VERSION + 1})
