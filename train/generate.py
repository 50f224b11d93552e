"""Let an exported model write, in the paper's four ways of asking."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from common.tokenizer import END_OF_TEXT, VOCABULARY_SIZE, load_tokenizer
from train.model import PADDED_VOCABULARY
from train.run import exported, settings_of

Mode = Literal["complete", "qa", "chat", "code"]
_FORMS = {"complete": "{}", "qa": "{}\n\nAnswer:", "chat": "Alice: {}\n\nBob:", "code": "{}"}
_ENDS = {"complete": None, "qa": None, "chat": "\nAlice:", "code": None}


def generate(
    run: Path, mode: Mode, prompt: str, *, max_new_tokens: int, temperature: float | None = None, seed: int = 0
) -> str:
    """What the model of ``run`` writes after ``prompt``.

    Args:
        run: a finished run.
        mode: the form the prompt is put into (arXiv 2309.05463, section 5: question-answer, chat, code, or as it is).
        prompt: text.
        max_new_tokens: the most tokens to write.
        temperature: of sampling; None takes the most probable token each time.
        seed: of sampling.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()

    folder, context = exported(run), settings_of(run).context_length
    tokenizer = load_tokenizer()
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokens = tokenizer.encode(_FORMS[mode].format(prompt)) or [END_OF_TEXT]
    tokens = tokens[-max(1, context - max_new_tokens) :]  # the end of the prompt matters most
    torch.manual_seed(seed)
    sampling = {"do_sample": False} if temperature is None else {"do_sample": True, "temperature": temperature}
    written_1t = model.generate(
        torch.tensor([tokens]),
        attention_mask=torch.ones(1, len(tokens), dtype=torch.int64),
        max_new_tokens=max_new_tokens,
        eos_token_id=END_OF_TEXT,
        pad_token_id=END_OF_TEXT,
        suppress_tokens=list(range(VOCABULARY_SIZE, PADDED_VOCABULARY)),  # padding of the vocabulary
        **sampling,
    )
    text = tokenizer.decode([t for t in written_1t[0, len(tokens) :].tolist() if t != END_OF_TEXT])
    end = _ENDS[mode]
    return text.partition(end)[0] if end else text
