"""Finished runs and results of a size for tests: a Phi with random weights, as `train` would leave it."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from common.files import file_entries, write_json
from common.tokenizer import hugging_face_tokenizer
from evals.results import RunResult, SourceUse, choice_schema, curve_schema, item_schema

CONTEXT = 48


def write_source(data: Path, name: str, texts: list[str], tokens: int = 1_000, content: str = "c0ffee") -> None:
    """A folder of shards as far as evals reads it: held-out documents and a manifest."""
    folder = data / name
    folder.mkdir(parents=True)
    rows = {"id": [f"{name}-{i:03d}" for i in range(len(texts))], "text": texts}
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    pq.write_table(pa.Table.from_pydict(rows, schema=schema), folder / "held_out.parquet")
    entries = file_entries(folder, {"held_out.parquet": len(texts)})
    write_json(folder / "manifest.json", {"tokens": tokens, "content_hash": content, "files": entries})


def write_run(folder: Path, data: Path, mixture: str = "web", seed: int = 0, steps: int = 6, **settings) -> Path:
    """A finished run of a Phi of about 3 million random weights."""
    import torch
    from transformers import PhiConfig, PhiForCausalLM

    torch.manual_seed(seed + 1000 * len(mixture))
    export = folder / "export"
    config = PhiConfig(
        vocab_size=51_200,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT,
        partial_rotary_factor=0.5,
        bos_token_id=50_256,
        eos_token_id=50_256,
    )
    PhiForCausalLM(config).save_pretrained(export)
    hugging_face_tokenizer().save_pretrained(export)
    entries = file_entries(export, {p.name: 1 for p in sorted(export.iterdir())})
    written = {"mixture": mixture, "data": str(data), "model": "nano", "tokens": steps * 480, "context_length": CONTEXT}
    (folder / "settings.yaml").write_text(yaml.safe_dump(written | {"seed": seed} | settings))
    sources = {"web": {"web": 384, "code": 96}, "phi_1_5": {"synthetic": 384, "code": 96}}[mixture]
    shards = {name: {"windows": 20, "content_hash": "c0ffee"} for name in sources}
    write_json(export / "manifest.json", {"step": steps, "files": entries, "sources": shards})
    with open(folder / "metrics.jsonl", "w") as metrics, open(folder / "ledger.jsonl", "w") as ledger:
        for step in range(1, steps + 1):
            print(json.dumps({"step": step, "tokens": step * 480, "loss": 11 - step / 10}), file=metrics)
            print(json.dumps({"step": step, "tokens": sources, "digest": "0"}), file=ledger)
    return folder


def write_checkpoint(run: Path, step: int, seed: int) -> Path:
    """A checkpoint of a run as `train` keeps it: other random weights, and the logs up to its step."""
    import torch
    from safetensors.torch import save_file
    from transformers import PhiConfig, PhiForCausalLM

    torch.manual_seed(seed)
    folder = run / "checkpoints" / f"step-{step}"
    folder.mkdir(parents=True)
    weights = PhiForCausalLM(PhiConfig.from_pretrained(run / "export")).state_dict()
    save_file(weights, folder / "weights.safetensors")
    for name in ("ledger.jsonl", "metrics.jsonl"):
        (folder / name).write_text("".join((run / name).read_text().splitlines(keepends=True)[:step]))
    manifest = json.loads((run / "export" / "manifest.json").read_text())
    entries = file_entries(folder, {"weights.safetensors": 1})
    write_json(folder / "manifest.json", {"step": step, "sources": manifest["sources"], "files": entries})
    return folder


def made_result(name: str, bits: np.ndarray, *, source: str = "web", **changes) -> RunResult:
    """A result whose documents of 100 bytes have the given bits per byte."""
    items = {
        "source": [source] * len(bits),
        "document": [f"{i:04d}" for i in range(len(bits))],
        "bytes": [100] * len(bits),
        "tokens": [25] * len(bits),
        "log_probability": (-np.asarray(bits) * 100 * math.log(2)).tolist(),
    }
    curve = {"step": [1, 2], "tokens": [480, 960], "loss": [9.0, 8.0]}
    values = {
        "key": f"key-{name}",
        "settings": {"mixture": name, "seed": 0, "model": "nano", "tokens": 960, "precision": "fp32"},
        "data_name": "data",
        "model_digest": f"digest-{name}",
        "scoring": {"stride": 24, "max_documents": None, "context_length": CONTEXT, "device": "cpu"},
        "held_out": {source: "aa"},
        "trained": {source: SourceUse(960, 480, "c0ffee")},
        "samples": [{"prompt": "Water", "text": f" is {name}"}],
        "items": pa.Table.from_pydict(items, schema=item_schema()),
        "curve": pa.Table.from_pydict(curve, schema=curve_schema()),
    }
    return RunResult(name=name, **values | changes)


def made_choices(task: str, gold_probability: np.ndarray, choices: int = 4, gold: np.ndarray | None = None) -> pa.Table:
    """Items of 10 bytes a choice whose right answer has the given probability; the wrong ones share the rest."""
    items = len(gold_probability)
    places = np.arange(items) % choices if gold is None else gold
    rows = []
    for item, (probability, place) in enumerate(zip(gold_probability, places, strict=True)):
        for choice in range(choices):
            is_gold = choice == place
            value = probability if is_gold else (1 - probability) / (choices - 1)
            rows.append(
                {
                    "task": task,
                    "item": str(item),
                    "choice": choice,
                    "log_probability": 10 * math.log(value),
                    "bytes": 10,
                    "is_gold": bool(is_gold),
                }
            )
    return pa.Table.from_pylist(rows, schema=choice_schema())
