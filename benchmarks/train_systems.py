"""One system of ``benchmarks/train.py`` in a process of its own: train a Phi on given windows, tell time and memory.

Every system starts from the same weights, takes the same windows in the same order, and uses AdamW with the paper's
settings at a constant rate, in float32. What differs is only what each brings: its loop, its loss, its bookkeeping.
The CPU time of the process is read after every step.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RATE, BETAS, EPSILON, DECAY = 1e-3, (0.9, 0.98), 1e-7, 0.1


class Watch:
    """CPU seconds, loss and peak memory after each step."""

    def __init__(self) -> None:
        self.seconds = [time.process_time()]
        self.losses: list[float] = []
        self.peak_mb = 0.0

    def step(self, loss: float) -> None:
        self.seconds.append(time.process_time())
        self.losses.append(loss)
        status = Path("/proc/self/status").read_text(encoding="ascii")
        self.peak_mb = int(status.split("VmHWM:")[1].split()[0]) / 1e3  # given in kB


def ours(folder: Path, task: dict[str, Any], watch: Watch, **more: Any) -> None:
    """``train``, from settings to exported model."""
    from train.loop import train
    from train.metrics import Log
    from train.settings import TrainSettings

    whole = Log.step

    def step(self: Log, line: str, metrics: Any, tokens: int) -> None:
        whole(self, line, metrics, tokens)
        watch.step(metrics["loss"])

    Log.step = step  # type: ignore[method-assign]
    settings = {
        "mixture": str(folder / "mixture.yaml"),
        "data": folder / "data",
        "model": task["model"],
        "tokens": task["steps"] * task["windows"] * task["context"],
        "context_length": task["context"],
        "precision": "fp32",
        "batch": {"windows": task["windows"], "micro_windows": task["micro"]},
        "optimizer": {"learning_rate": RATE},
        "checkpoint": {"every_steps": 1_000_000},
    }
    train(TrainSettings.parse(settings | more), folder / f"run-{time.time_ns()}")


def ours_compiled(folder: Path, task: dict[str, Any], watch: Watch) -> None:
    """``train --compile``."""
    ours(folder, task, watch, compile=True)


def plain(folder: Path, task: dict[str, Any], watch: Watch) -> None:
    """The loop that one writes by hand."""
    import torch
    from transformers import PhiForCausalLM

    model = PhiForCausalLM.from_pretrained(folder / "initial").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=BETAS, eps=EPSILON, weight_decay=DECAY, fused=True)
    windows = torch.from_numpy(np.load(folder / "windows.npy").astype("int64"))
    for batch in windows.split(task["windows"]):
        total, parts = 0.0, batch.split(task["micro"])
        for part in parts:
            logits = model(part[:, :-1], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten()) / len(parts)
            loss.backward()
            total += loss.item()
        optimizer.step()
        optimizer.zero_grad()
        watch.step(total)


def trainer(folder: Path, task: dict[str, Any], watch: Watch) -> None:
    """Hugging Face's Trainer. It takes weight decay off biases and norms, which the first steps do not show."""
    import torch
    from transformers import PhiForCausalLM, Trainer, TrainerCallback, TrainingArguments

    class Told(TrainerCallback):
        def on_log(self, *_: Any, logs: dict[str, Any], **__: Any) -> None:
            if "loss" in logs:
                watch.step(float(logs["loss"]))

    # the model shifts by itself, so that a window of one more token predicts as many as the others do
    windows = torch.from_numpy(np.load(folder / "windows.npy").astype("int64"))
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        per_device_train_batch_size=task["micro"],
        gradient_accumulation_steps=task["windows"] // task["micro"],
        max_steps=task["steps"],
        learning_rate=RATE,
        adam_beta1=BETAS[0],
        adam_beta2=BETAS[1],
        adam_epsilon=EPSILON,
        weight_decay=DECAY,
        max_grad_norm=0,
        lr_scheduler_type="constant",
        optim="adamw_torch_fused",
        train_sampling_strategy="sequential",
        logging_steps=1,
        disable_tqdm=True,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
    )
    Trainer(
        model=PhiForCausalLM.from_pretrained(folder / "initial"),
        args=arguments,
        train_dataset=[{"input_ids": window, "labels": window} for window in windows],  # type: ignore[arg-type]
        callbacks=[Told()],
    ).train()


def litgpt(folder: Path, task: dict[str, Any], watch: Watch) -> None:
    """litgpt's pretraining, which compiles its model. It clips gradients always: here at a norm that none has."""
    import lightning
    import torch
    from litgpt import pretrain
    from litgpt.args import EvalArgs, TrainArgs
    from litgpt.config import Config
    from litgpt.data import DataModule
    from litgpt.scripts.convert_hf_checkpoint import copy_weights_phi
    from safetensors.torch import load_file

    size = json.loads((folder / "initial" / "config.json").read_text(encoding="utf-8"))
    config = Config.from_name(
        "phi-1_5",
        n_embd=size["hidden_size"],
        n_layer=size["num_hidden_layers"],
        n_head=size["num_attention_heads"],
        n_query_groups=size["num_attention_heads"],
        head_size=size["hidden_size"] // size["num_attention_heads"],
        intermediate_size=size["intermediate_size"],
        block_size=task["context"],
    )
    state: dict[str, Any] = {}
    qkv: dict[int, Any] = {}
    copy_weights_phi(config, qkv, state, load_file(folder / "initial" / "model.safetensors"))
    for layer, parts in qkv.items():
        for kind, part in parts.items():
            joined = torch.cat([part["q_proj"], part["k_proj"], part["v_proj"]])
            state[f"transformer.h.{layer}.attn.qkv.{kind}"] = joined
    (folder / "litgpt").mkdir(exist_ok=True)
    torch.save(state, folder / "litgpt" / "lit_model.pth")

    windows = torch.from_numpy(np.load(folder / "windows.npy").astype("int64"))

    class Windows(DataModule):
        def connect(self, *_: Any, **__: Any) -> None:
            pass

        def train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(list(windows), batch_size=task["micro"])  # type: ignore[arg-type]

        def val_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(list(windows[:1]))  # type: ignore[arg-type]

    lightning.Fabric.log_dict = lambda _, metrics, **__: watch.step(metrics["loss"])
    sys.argv[1:] = ["phi-1_5"]  # it saves its settings by parsing the command line once more
    initial, pretrain.extend_checkpoint_dir = folder / "litgpt", lambda path: path
    pretrain.setup(
        "phi-1_5",
        config,
        out_dir=folder / "litgpt-out",
        precision="32-true",
        initial_checkpoint_dir=initial,
        data=Windows(),
        train=TrainArgs(
            save_interval=None,
            log_interval=1,
            global_batch_size=task["windows"],
            micro_batch_size=task["micro"],
            max_tokens=task["steps"] * task["windows"] * task["context"],
            max_seq_length=task["context"],
            max_norm=1e9,
            min_lr=RATE,
            lr_warmup_steps=0,
            tie_embeddings=False,
        ),
        eval=EvalArgs(interval=1_000_000, max_iters=1, initial_validation=False, final_validation=False),
        optimizer={
            "class_path": "torch.optim.AdamW",
            "init_args": {"lr": RATE, "betas": BETAS, "eps": EPSILON, "weight_decay": DECAY},
        },
        devices=1,
        logger_name="csv",
    )


def peak(folder: Path, task: dict[str, Any], watch: Watch) -> None:
    """No training: FLOP a CPU-second of a matrix product, told as the loss of one step."""
    import torch

    from train.peak import matmul_peak

    watch.step(matmul_peak(torch.float32, torch.device("cpu"), time.process_time))


SYSTEMS: dict[str, Callable[[Path, dict[str, Any], Watch], None]] = {
    "ours": ours,
    "ours, compiled": ours_compiled,
    "plain PyTorch": plain,
    "Trainer": trainer,
    "litgpt": litgpt,
    "peak": peak,
}


def main(name: str, folder: Path) -> None:
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    watch = Watch()
    SYSTEMS[name](folder, task, watch)
    told = {"seconds": watch.seconds, "losses": watch.losses, "peak_mb": watch.peak_mb}
    (folder / "told.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
