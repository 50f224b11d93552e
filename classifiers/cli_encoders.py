"""The command ``classifiers distill``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import NonNegativeInt, PositiveInt

from classifiers.recipe import DEFAULT_ENCODER
from common import command

Flag = Annotated[bool, Parameter(negative=())]


def distill(
    *,
    out: Path,
    encoder: str = DEFAULT_ENCODER,
    dimensions: PositiveInt = 256,
    layers: tuple[NonNegativeInt, ...] = (0,),
    unlabelled: str | None = None,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Distil an encoder into a static one, which reads thousands of documents a second, without a network.

    The folder is an encoder for classifiers train, and model2vec and sentence-transformers load it too.

    Example: classifiers distill --encoder all-MiniLM-L6-v2 --out my-static --unlabelled documents.jsonl.gz

    then: classifiers train --labels labels.jsonl.gz --out quick --preset static --encoder my-static

    Parameters
    ----------
    out
        Folder to write.
    encoder
        Sentence-transformers model: a directory, the installed default, or a hub name.
    dimensions
        Columns of the table; 256 take 1 kB a token.
    layers
        Hidden layers whose mean over the tokens is distilled; 0: the output that the model was trained to give.
    unlabelled
        Texts (id, text) of the kind that will be read, to count how common tokens are; without it, common tokens are
        those that the vocabulary lists first.
    dry_run
        Say what would be distilled and written, and stop.
    json
        Print one JSON document.
    """
    from classifiers import distill as distillation
    from classifiers.static import check_static_target
    from classifiers.training import read_texts

    check_static_target(out)
    teacher = distillation.load_teacher(encoder, layers, dimensions)
    tokens = teacher.tokenizer.get_vocab_size()
    if dry_run:
        plan = {"encoder": encoder, "tokens": tokens, "dimensions": dimensions, "out": str(out)}
        command.emit(plan, command.table([plan]), json)
        return
    with command.progress(tokens, " tokens", "distill") as bar:
        made = distillation.distill_to(out, teacher, read_texts(unlabelled), dimensions, bar.update)
    command.emit(made, command.table([made]), json)
