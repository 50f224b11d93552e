import pytest
import torch
from transformers import PhiForCausalLM

from train.model import SIZES, new_model, phi_config


def test_phi_1_5_has_exactly_the_parameters_of_the_published_model():
    assert SIZES["phi_1_5"].parameters == 1_418_270_720


@pytest.mark.parametrize("name", SIZES)
def test_the_formula_counts_what_the_model_has(name):
    with torch.device("meta"):
        model = PhiForCausalLM(phi_config(SIZES[name], 2048))
    assert sum(p.numel() for p in model.parameters()) == SIZES[name].parameters
    outside = (model.model.embed_tokens.weight, model.lm_head.weight, model.lm_head.bias)
    assert SIZES[name].parameters - SIZES[name].body_parameters == sum(p.numel() for p in outside)


def test_sizes_form_a_ladder():
    parameters = [size.parameters for size in SIZES.values()]
    assert parameters == sorted(parameters)
    assert all(size.width % size.heads == 0 for size in SIZES.values())


def test_weights_follow_from_the_seed_alone():
    torch.manual_seed(1)
    first = new_model(SIZES["nano"], 64, seed=5).state_dict()
    torch.manual_seed(2)
    second = new_model(SIZES["nano"], 64, seed=5).state_dict()
    other = new_model(SIZES["nano"], 64, seed=6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_making_a_model_leaves_the_processs_random_numbers_as_they_were():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    new_model(SIZES["nano"], 64, seed=5)
    assert torch.equal(torch.rand(3), expected)


def test_matrices_are_normal_with_deviation_two_hundredths_and_vectors_are_plain():
    for name, weight in new_model(SIZES["nano"], 64, seed=0).named_parameters():
        if weight.dim() > 1:
            assert abs(weight.mean().item()) < 0.001, name
            assert abs(weight.std().item() - 0.02) < 0.001, name
        else:
            plain = 1.0 if name.endswith("layernorm.weight") else 0.0
            assert torch.equal(weight, torch.full_like(weight, plain)), name


def test_flops_are_six_a_multiplied_parameter_plus_attention():
    size = SIZES["nano"]  # 4 layers of width 64
    multiplied = size.body_parameters + 51_200 * 65
    assert size.training_flops(1, 256) == 6 * multiplied + 12 * 4 * 64 * 256
    assert size.training_flops(1000, 256) == 1000 * size.training_flops(1, 256)


def test_a_small_model_at_the_rate_of_the_paper_is_told_a_better_one():
    assert "29,423,104 learn faster with about 0.001: --optimizer.learning-rate 0.001" in SIZES["29m"].advice(2e-4)
    assert SIZES["29m"].advice(5e-4) is None
    assert SIZES["phi_1_5"].advice(2e-4) is None
    rates = [size.learning_rate for size in SIZES.values()]
    assert rates == sorted(rates, reverse=True)
