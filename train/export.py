"""A checkpoint as a model that Hugging Face tools load: ``PhiForCausalLM`` in safetensors, with the tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.files import MANIFEST, file_entries, publish_folder, write_json
from common.tokenizer import hugging_face_tokenizer
from train.checkpoint import Checkpoint
from train.model import SIZES, phi_config
from train.run import EXPORT
from train.settings import TrainSettings

KIND = "exported_model"


def export(run: Path, checkpoint: Checkpoint, settings: TrainSettings) -> dict[str, Any]:
    """Publish ``run/export`` from ``checkpoint``, in the precision that was trained in, and return its manifest."""
    import torch
    from transformers import PhiForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()

    dtype = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[settings.precision]
    model: Any = PhiForCausalLM(phi_config(SIZES[settings.model], settings.context_length))
    model.load_state_dict(checkpoint.tensors("weights"), strict=True)
    tokenizer = hugging_face_tokenizer()
    tokenizer.model_max_length = settings.context_length
    with publish_folder(run / EXPORT) as folder:
        model.to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        manifest = {
            "kind": KIND,
            "step": checkpoint.step,
            "model": settings.model,
            "parameters": SIZES[settings.model].parameters,
            "mixture": settings.mixture,
            "seed": settings.seed,
            "precision": settings.precision,
            "loss": checkpoint.manifest["loss"],
            "tokens": checkpoint.manifest["tokens"],
            "blend_digest": checkpoint.manifest["blend_digest"],
            "sources": checkpoint.manifest["sources"],
            "files": file_entries(folder, dict.fromkeys(sorted(path.name for path in folder.iterdir()), 1)),
        }
        write_json(folder / MANIFEST, manifest)
    return manifest
