import json

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from common.files import check_files
from common.tokenizer import load_tokenizer
from train import checkpoint as checkpoints
from train.generate import generate
from train.model import SIZES


def test_the_export_loads_in_transformers_with_the_weights_of_the_last_step_and_generates(unbroken):
    model = AutoModelForCausalLM.from_pretrained(unbroken / "export")
    assert type(model).__name__ == "PhiForCausalLM"
    assert model.dtype == torch.float32
    weights = checkpoints.load(unbroken / "checkpoints" / "step-8").tensors("weights")
    assert weights.keys() == dict(model.named_parameters()).keys()
    assert all(torch.equal(parameter, weights[name]) for name, parameter in model.named_parameters())
    tokenizer = AutoTokenizer.from_pretrained(unbroken / "export")
    inputs = tokenizer("def add(a, b):\n    return", return_tensors="pt")
    assert inputs["input_ids"][0].tolist() == load_tokenizer().encode("def add(a, b):\n    return")
    assert model.generate(**inputs, max_new_tokens=5, do_sample=False).shape[1] == inputs["input_ids"].shape[1] + 5


def test_the_manifest_says_what_was_trained_on_and_lists_every_file(unbroken):
    manifest = json.loads((unbroken / "export" / "manifest.json").read_text())
    check_files(unbroken / "export", manifest["files"])
    listed = {item["path"] for item in manifest["files"]}
    assert listed == {path.name for path in (unbroken / "export").iterdir()} - {"manifest.json"}
    assert (manifest["step"], manifest["model"], manifest["mixture"], manifest["seed"]) == (8, "nano", "web", 1)
    assert manifest["parameters"] == SIZES["nano"].parameters


def test_generation_is_repeatable_and_sampling_follows_the_seed(unbroken):
    greedy = [generate(unbroken, "complete", "web 1 2", max_new_tokens=6) for _ in range(2)]
    assert greedy[0] == greedy[1] != ""
    sampled = [generate(unbroken, "complete", "web", max_new_tokens=6, temperature=2.0, seed=s) for s in (1, 1, 2)]
    assert sampled[0] == sampled[1] != sampled[2]


def test_a_prompt_longer_than_the_context_keeps_its_end(unbroken):
    long = generate(unbroken, "qa", "one two " * 200 + "web 3", max_new_tokens=4)
    assert isinstance(long, str)
    assert generate(unbroken, "chat", "", max_new_tokens=4) is not None
