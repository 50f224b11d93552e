"""DeepSpeed around a model: processes, ZeRO stage 2, and its state by parameter name.

Works in one process without a launcher, and in several under ``torchrun``, ``deepspeed`` or Slurm, which set RANK,
LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import EduSieveError, InputError, SettingsError
from train.checkpoint import Checkpoint, Named
from train.model import SIZES, new_model
from train.settings import TrainSettings

if TYPE_CHECKING:
    import torch

BYTES_A_PARAMETER = 16
"""Float32 weights, their gradient and two Adam moments."""
MOMENTS = ("exp_avg", "exp_avg_sq")
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Of glibc's malloc.h."""
CPU_BUCKET = 1 << 20
"""Elements. DeepSpeed copies every gradient into its bucket but those that are larger: on a CPU nothing is gained."""


# Threads that wait must not spin: two spinning threads on a busy machine collapse to a quarter of the speed (docs).
# OpenMP reads this when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class DivergedError(EduSieveError):
    """The numbers are no numbers any more; the newest checkpoint is from before."""


@dataclass(frozen=True)
class World:
    """The processes that train together, and this one's place among them."""

    rank: int
    size: int
    local_rank: int

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0


def world() -> World:
    """What the launcher says; without one, a world of one."""
    return World(
        rank=int(os.environ.get("RANK", "0")),
        size=int(os.environ.get("WORLD_SIZE", "1")),
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
    )


def resolved(settings: TrainSettings) -> TrainSettings:
    """``settings`` with every ``auto`` replaced by what this machine makes of it.

    Raises:
        SettingsError: if this machine cannot do what was asked.
    """
    import torch
    from transformers.utils.import_utils import is_flash_attn_2_available

    on_gpu = torch.cuda.is_available()
    precision = settings.precision
    if precision == "auto":
        precision = "fp16" if on_gpu else "fp32"
    if precision == "fp16" and not on_gpu:
        raise SettingsError("precision fp16 needs a GPU: give --precision fp32, or bf16 at about half the speed")
    attention = settings.attention
    if attention == "auto":
        fits = on_gpu and precision != "fp32" and is_flash_attn_2_available()
        attention = "flash_attention_2" if fits else "sdpa"
    if attention == "flash_attention_2" and not (is_flash_attn_2_available() and precision != "fp32"):
        raise SettingsError(
            "attention flash_attention_2 needs a GPU, fp16 or bf16, and the package flash-attn "
            "(pip install --no-build-isolation 'edusieve[gpu]'): give --attention sdpa"
        )
    if settings.compile and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
        raise SettingsError("compile needs a C++ compiler (g++ or clang++): install one, or give --no-compile")
    return settings.model_copy(update={"precision": precision, "attention": attention})


@contextlib.contextmanager
def processes(here: World) -> Iterator[None]:
    """Join the process group; leave it at the end, so that another run can follow in the same process."""
    import torch

    added = {}
    if "RANK" not in os.environ:
        added = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
        added["MASTER_PORT"] = str(_free_port())
    os.environ.update(added)
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # DeepSpeed logs to stdout, which is for results
            import deepspeed
            import deepspeed.ops

            # Its reduction through shared memory would be compiled first (minutes, g++ and ninja); gloo does as well.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
            if torch.cuda.is_available():
                torch.cuda.set_device(here.local_rank)
            deepspeed.init_distributed("nccl" if torch.cuda.is_available() else "gloo", verbose=False)
        yield
    finally:
        if torch.distributed.is_initialized():
            deepspeed.comm.destroy_process_group()
        for name in added:
            del os.environ[name]


def build(settings: TrainSettings, here: World) -> Any:
    """A DeepSpeed engine around a freshly initialised model.

    Raises:
        InputError: if the model cannot fit into this machine's memory.
    """
    import deepspeed
    import torch

    from train.loss import LanguageModel

    size = SIZES[settings.model]
    _check_memory(settings.model, size.parameters)
    if not torch.cuda.is_available():
        _keep_freed_memory()
    phi = new_model(size, settings.context_length, settings.seed, settings.attention)
    if settings.activation_checkpointing:
        phi.gradient_checkpointing_enable({"use_reentrant": False})
    if settings.compile:
        for layer in phi.model.layers:  # one by one: all are compiled once, and parameters keep their names
            layer.compile(dynamic=False)
    phi.train()
    optimizer = torch.optim.AdamW(
        phi.parameters(),
        lr=settings.optimizer.learning_rate,
        betas=(settings.optimizer.beta_1, settings.optimizer.beta_2),
        eps=settings.optimizer.epsilon,
        weight_decay=settings.optimizer.weight_decay,
        fused=True,
    )
    with contextlib.redirect_stdout(sys.stderr):
        engine, *_ = deepspeed.initialize(
            model=LanguageModel(phi, settings.document_mask),
            optimizer=optimizer,
            config=deepspeed_config(settings, here.size),
        )
    _make_moments(engine.optimizer)
    return engine


def deepspeed_config(settings: TrainSettings, world_size: int) -> dict[str, Any]:
    """DeepSpeed's own configuration of a run."""
    import torch

    micro, accumulation = settings.batch.division(world_size)
    zero: dict[str, Any] = {"stage": 2}
    if not torch.cuda.is_available():
        zero["reduce_bucket_size"] = CPU_BUCKET
    return {
        "train_micro_batch_size_per_gpu": micro,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": settings.optimizer.max_gradient_norm or 0.0,
        "zero_optimization": zero,
        "fp16": {"enabled": settings.precision == "fp16"},  # dynamic loss scale
        "bf16": {"enabled": settings.precision == "bf16"},
        "steps_per_print": None,
    }


def capture(engine: Any) -> Iterator[tuple[str, Named]]:
    """Weights and Adam moments in float32 by the parameter's Hugging Face name, gathered from all processes.

    Every process must iterate to the end. Tensors are on the CPU.

    Raises:
        DivergedError: if a weight is not finite.
    """
    from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state

    named = list(engine.module.phi.named_parameters())
    weights = {name: safe_get_full_fp32_param(p).cpu() for name, p in named}
    for name, weight in weights.items():
        if not weight.isfinite().all():
            raise DivergedError(f"{name} holds values that are not finite: not saved; try a lower learning rate")
    yield "weights", weights
    for moment in MOMENTS:
        yield moment, {name: safe_get_full_optimizer_state(p, moment).cpu() for name, p in named}


def counters(engine: Any) -> dict[str, Any]:
    """What else the next step depends on: updates that were made, and the state of the loss scale."""
    steps = {int(state["step"]) for state in engine.optimizer.optimizer.state.values()}
    scaler = vars(engine.optimizer.loss_scaler)
    scale = {name: value for name, value in scaler.items() if isinstance(value, int | float)}
    return {"updates": max(steps, default=0), "skipped_updates": int(engine.skipped_steps), "loss_scale": scale}


def gradient_norm(engine: Any) -> float:
    """Euclidean norm of the last step's gradient over all processes, before clipping; infinite if it is no number."""
    norm = float(engine.get_global_grad_norm())
    return norm if norm >= 0 else math.inf  # DeepSpeed says -1 for NaN


def restore(engine: Any, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's state into an engine that has not trained yet, whatever the number of processes."""
    from deepspeed.utils import safe_set_full_fp32_param, safe_set_full_optimizer_state

    saved = checkpoint.manifest["counters"]
    zero = engine.optimizer
    for state in zero.optimizer.state.values():
        state["step"].fill_(saved["updates"])
    named = list(engine.module.phi.named_parameters())
    weights = checkpoint.tensors("weights")
    for name, parameter in named:
        value = weights[name].to(engine.device)
        safe_set_full_fp32_param(parameter, value)
        parameter.data.copy_(value)
    for moment in MOMENTS:
        tensors = checkpoint.tensors(moment)
        for name, parameter in named:
            safe_set_full_optimizer_state(parameter, tensors[name].to(engine.device), moment)
    vars(zero.loss_scaler).update(saved["loss_scale"])
    engine.skipped_steps = int(saved["skipped_updates"])


def summed(values: list[float], device: torch.device) -> list[float]:
    """Sums over all processes, in float64."""
    import torch

    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor)
    return [float(value) for value in tensor]


def _make_moments(zero: Any) -> None:
    """Make Adam's moments now, not at its first update: a checkpoint may be loaded, or in fp16 be due, before it."""
    import torch

    for group in zero.optimizer.param_groups:
        for flat in group["params"]:
            moments = {name: torch.zeros_like(flat) for name in MOMENTS}
            zero.optimizer.state[flat] = {"step": torch.zeros((), device=flat.device), **moments}
    zero._lazy_init_hp_params_optimizer_state()


def _check_memory(name: str, parameters: int) -> None:
    import torch

    if torch.cuda.is_available():
        return
    needed = parameters * BYTES_A_PARAMETER
    present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > present:
        raise InputError(
            f"the model {name} needs {needed / 1e9:.1f} GB for weights, gradients and optimizer, this machine has "
            f"{present / 1e9:.1f} GB and no GPU: give a smaller --model ({', '.join(SIZES)})"
        )


def _keep_freed_memory() -> None:
    """Let glibc reuse what is freed: every step asks for the same large blocks, and fresh pages cost it 5 to 10%."""
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if set_option:
        set_option(M_MMAP_MAX, 0)
        set_option(M_TRIM_THRESHOLD, -1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
