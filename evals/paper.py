"""The paper's own numbers (Li et al. 2023, "Textbooks Are All You Need II: phi-1.5", arXiv 2309.05463, tables 1 to 4).

Accuracies; its variants were not trained on equally much: 150B tokens of 30B unique ones against 300B of 100B. What it
does not report is None.
"""

from __future__ import annotations

from collections.abc import Mapping

MODELS = ("phi-1.5-web-only", "phi-1.5-web", "phi-1.5", "Llama2-7B", "Llama-65B")

ACCURACY: Mapping[str, tuple[float | str | None, ...]] = {
    "winogrande": (0.604, 0.740, 0.734, 0.691, None),
    "arc_easy": (0.666, 0.761, 0.756, 0.763, None),
    "arc_challenge": (0.329, 0.449, 0.444, 0.434, None),
    "boolq": (0.632, 0.728, 0.758, 0.779, None),
    "siqa": (0.414, 0.530, 0.526, 0.480, None),
    "piqa": (None, 0.770, 0.766, 0.781, None),
    "hellaswag": (None, 0.484, 0.476, 0.571, None),
    "mmlu": (None, 0.379, 0.376, 0.453, None),
    "openbookqa": (None, 0.360, 0.372, 0.314, None),
    "squad": (None, 0.74, 0.72, 0.67, None),
    "gsm8k": ("< 0.03", 0.446, 0.402, None, 0.509),
    "humaneval": (0.172, 0.414, 0.341, None, 0.237),
    "mbpp": (0.273, 0.435, 0.377, None, 0.377),
}
"""Of each task, in the order of :data:`MODELS`."""

PARAMETERS = 1_418_270_720
"""Of the published architecture; the paper says 1.3B."""
COMPUTE: tuple[tuple[str, int | None, int | None, str | None], ...] = (
    ("phi-1.5-web-only", None, None, None),
    ("phi-1.5-web", 300_000_000_000, 100_000_000_000, "3,000"),
    ("phi-1.5", 150_000_000_000, 30_000_000_000, "1,500 (its model card: 6,144)"),
)
"""Variant, tokens it was trained on, unique tokens, GPU-hours (A100)."""


def training_flops(parameters: int | None, tokens: int | None) -> str | None:
    """6 · parameters · tokens (Kaplan et al. 2020, arXiv 2001.08361, section 2.1), as it is shown."""
    return f"{6.0 * parameters * tokens:.2e}" if parameters and tokens else None
