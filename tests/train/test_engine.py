import pytest
import torch

from common.errors import InputError, SettingsError
from common.tokenizer import END_OF_TEXT
from train import engine as engines
from train.engine import DivergedError


@pytest.fixture
def alone(monkeypatch):
    """A process group of one, as a run has it."""
    here = engines.World(0, 1, 0)
    with engines.processes(here):
        yield here


def test_compiling_without_a_compiler_is_refused_before_anything_begins(settings, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingsError, match=r"compile needs a C\+\+ compiler"):
        engines.resolved(settings.model_copy(update={"compile": True}))


def test_precision_and_attention_are_settled_for_a_machine_without_a_gpu(settings):
    found = engines.resolved(settings)
    assert (found.precision, found.attention) == ("fp32", "sdpa")


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"precision": "fp16"}, "fp16 needs a GPU"), ({"attention": "flash_attention_2"}, "needs a GPU, fp16 or bf16")],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="says what a machine without a GPU cannot do")
def test_what_this_machine_cannot_do_is_refused(settings, changed, message):
    with pytest.raises(SettingsError, match=message):
        engines.resolved(settings.model_copy(update=changed))


def test_a_model_larger_than_the_memory_is_refused_with_its_size(settings, alone, monkeypatch):
    monkeypatch.setattr(engines, "BYTES_A_PARAMETER", 10**6)
    with pytest.raises(InputError, match=r"the model nano needs 6804\.4 GB"):
        engines.build(settings, alone)


def test_half_precision_trains_and_keeps_the_rotary_frequencies_exact(settings, alone):
    # rounded to bf16, the angles at position 2,048 would be off by several radians
    half = settings.model_copy(update={"precision": "bf16", "attention": "sdpa"})
    engine = engines.build(half, alone)
    assert engine.module.phi.lm_head.weight.dtype == torch.bfloat16
    tokens = torch.arange(66).reshape(2, 33)
    losses = []
    for _ in range(4):  # two micro-steps each
        losses.append(engine(tokens))
        engine.backward(losses[-1])
        engine.step()
    assert losses[0].item() == pytest.approx(10.84, abs=0.1)  # ln 51,200
    assert losses[0] == losses[1] > losses[2]
    frequencies = engine.module.phi.model.rotary_emb.inv_freq.cpu()
    expected = 10_000.0 ** -(torch.arange(0, 16, 2) / 16)
    torch.testing.assert_close(frequencies, expected, rtol=1e-6, atol=0)


def test_documents_are_masked_apart_if_the_settings_say_so(settings, alone):
    windows = torch.tensor([[5, 6, 7, END_OF_TEXT, 8, 9, 10], [END_OF_TEXT, 1, 2, 3, 4, 5, 6]])
    plain, masked = (
        engines.build(engines.resolved(settings).model_copy(update={"document_mask": mask}), alone)
        for mask in (False, True)
    )
    one, two = ([engine(window[None]).item() for window in windows] for engine in (plain, masked))
    assert abs(one[0] - two[0]) > 1e-5
    assert one[1] == two[1]


def test_a_state_before_the_first_update_can_be_captured(settings, alone):
    engine = engines.build(engines.resolved(settings), alone)
    captured = dict(engines.capture(engine))
    assert list(captured) == ["weights", "exp_avg", "exp_avg_sq"]
    expected = dict(engine.module.phi.named_parameters())
    for name, weight in captured["weights"].items():
        assert torch.equal(weight, expected[name])
        assert not captured["exp_avg"][name].any()
    assert engines.counters(engine)["updates"] == 0


def test_weights_that_are_not_finite_are_not_captured(settings, alone):
    engine = engines.build(engines.resolved(settings), alone)
    parameter = engine.module.phi.model.final_layernorm.bias
    from deepspeed.utils import safe_set_full_fp32_param

    safe_set_full_fp32_param(parameter, torch.full((64,), float("inf")))
    with pytest.raises(DivergedError, match=r"final_layernorm\.bias"):
        next(engines.capture(engine))
