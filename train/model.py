"""The phi-1.5 architecture in sizes from a CPU toy to the original, as Hugging Face's ``PhiForCausalLM``.

Every preset keeps what makes it a Phi: parallel attention and MLP, partial rotary positions on half of each head,
MLP of four times the width, GELU, untied head with bias, vocabulary of codegen-mono padded to 51,200. With that
vocabulary the embedding and the head alone are 102,400 × width parameters, so sizes are named by the total, as
Pythia's are (Biderman et al. 2023, arXiv 2304.01373), and :attr:`Size.body_parameters` gives the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.tokenizer import END_OF_TEXT

if TYPE_CHECKING:
    from transformers import PhiConfig, PhiForCausalLM

PADDED_VOCABULARY = 51_200
INITIAL_DEVIATION = 0.02


@dataclass(frozen=True)
class Size:
    """Width, depth and heads of a preset, and the learning rate that suits it."""

    width: int
    layers: int
    heads: int
    learning_rate: float
    """Pythia's for its nearest size (Biderman et al. 2023, table 1: 1e-3 up to 70M, 6e-4 at 160M, 3e-4 at 410M), the
    paper's for ``phi_1_5``; ``nano`` is smaller than any of them: what its loss fell fastest with here (docs)."""

    def advice(self, learning_rate: float) -> str | None:
        """One line if ``learning_rate`` is the paper's, which is for 1.4 billion parameters, and this is smaller."""
        if learning_rate != SIZES["phi_1_5"].learning_rate or self.learning_rate == learning_rate:
            return None
        return (
            f"learning rate {learning_rate:g} is the paper's for 1.4 billion parameters; {self.parameters:,} learn "
            f"faster with about {self.learning_rate:g}: --optimizer.learning-rate {self.learning_rate:g}"
        )

    @property
    def body_parameters(self) -> int:
        """Parameters besides embedding and head: 12 w² + 11 w a layer of width w, and 2 w of the last LayerNorm.

        A layer has four w × w attention matrices with their biases (4 w), two w × 4 w MLP matrices with theirs (5 w),
        and one LayerNorm (2 w), which attention and MLP share.
        """
        return self.layers * (12 * self.width**2 + 11 * self.width) + 2 * self.width

    @property
    def parameters(self) -> int:
        """All parameters: the body, the embedding, and the untied head with its bias."""
        return self.body_parameters + PADDED_VOCABULARY * (2 * self.width + 1)

    def training_flops(self, tokens: int, context_length: int) -> int:
        """FLOPs to train on ``tokens`` (Chowdhery et al. 2022, arXiv 2204.02311, appendix B).

        6 a token for every parameter but the embedding, which is looked up and not multiplied, and 12 × layers × width
        × context for attention, causal or not: kernels that skip the masked half do less than is counted here.
        """
        multiplied = self.parameters - PADDED_VOCABULARY * self.width
        return tokens * (6 * multiplied + 12 * self.layers * self.width * context_length)


SIZES: dict[str, Size] = {
    "nano": Size(width=64, layers=4, heads=2, learning_rate=2e-3),
    "14m": Size(width=128, layers=6, heads=4, learning_rate=1e-3),
    "29m": Size(width=256, layers=4, heads=4, learning_rate=1e-3),
    "70m": Size(width=512, layers=6, heads=8, learning_rate=1e-3),
    "160m": Size(width=768, layers=12, heads=12, learning_rate=6e-4),
    "410m": Size(width=1024, layers=24, heads=16, learning_rate=3e-4),
    "phi_1_5": Size(width=2048, layers=24, heads=32, learning_rate=2e-4),
}


def phi_config(size: Size, context_length: int, attention: str = "sdpa") -> PhiConfig:
    """The Hugging Face configuration of a size."""
    from transformers import PhiConfig

    return PhiConfig(
        vocab_size=PADDED_VOCABULARY,
        hidden_size=size.width,
        intermediate_size=4 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=context_length,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5},
        hidden_act="gelu_new",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attention_dropout=0.0,
        initializer_range=INITIAL_DEVIATION,
        tie_word_embeddings=False,
        bos_token_id=END_OF_TEXT,
        eos_token_id=END_OF_TEXT,
        attn_implementation=attention,  # type: ignore[call-arg]
    )


def new_model(size: Size, context_length: int, seed: int, attention: str = "sdpa") -> PhiForCausalLM:
    """A model with random weights: matrices from N(0, 0.02²), LayerNorms one, biases zero.

    The weights follow from (size, seed) alone, whatever the process has drawn before and whatever the number of
    processes, so that variants of one seed start equal.
    """
    import torch
    from transformers import PhiForCausalLM

    with torch.random.fork_rng(devices=[]):
        model = PhiForCausalLM(phi_config(size, context_length, attention))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, INITIAL_DEVIATION, generator=generator)
            else:
                parameter.fill_(1.0 if name.endswith("layernorm.weight") else 0.0)
    return model
