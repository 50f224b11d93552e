"""What people ask about a mixture before and after a run: how much of each source, and are the shards whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import EduSieveError, InputError, SettingsError
from mixtures.data import BlendData, open_blend
from mixtures.recipe import load_recipe
from mixtures.settings import ORDER_VERSION
from mixtures.shards import TokenShards


def shown_use(mixture: str | Path, data_dir: str | Path, tokens: int, context_length: int, seed: int) -> dict[str, Any]:
    """What a run of ``tokens`` predicted tokens takes from each source of a mixture, in all and in each stage.

    Raises:
        SettingsError: if ``tokens`` is less than one window, or a source is repeated more often than allowed.
    """
    if tokens < context_length:
        raise SettingsError(f"tokens ({tokens:,}) must be at least one window of {context_length:,}")
    data = open_blend(mixture, data_dir, context_length, seed)
    windows = tokens // context_length
    uses = data.use(windows)
    rows = [
        {
            "source": use.source,
            "weight": " → ".join(str(stage.weights.get(use.source, 0)) for stage in data.blend.stages),
            "tokens": use.tokens,
            "windows": use.windows,
            "available_windows": use.available_windows,
            "epochs": use.epochs,
            "repeats": use.repeats,
            "max_repeats": use.max_repeats,
        }
        for use in uses
    ]
    return {
        "mixture": str(mixture),
        "tokens": windows * context_length,
        "windows": windows,
        "context_length": context_length,
        "seed": seed,
        "digest": data.digest,
        "order_version": ORDER_VERSION,
        "warnings": [use.warning for use in uses if use.warning] + _unreached(data, windows),
        "sources": rows,
        "stages": list(_by_stage(data, windows)),
    }


def _by_stage(data: BlendData, windows: int) -> Iterator[dict[str, Any]]:
    """One row a stage of the schedule and source of it: what the run takes, and how far into the source it is then."""
    blend = data.blend
    for number, stage in enumerate(blend.stages if len(blend.stages) > 1 else (), start=1):
        stop = min(stage.stop, windows)
        if stage.start < stop:
            taken, until = blend.counts(stage.start, stop), blend.counts(0, stop)
            for name, weight in stage.weights.items():
                yield {
                    "stage": number,
                    "from_tokens": stage.start * data.context_length,
                    "source": name,
                    "weight": str(weight),
                    "tokens": taken[name] * data.context_length,
                    "windows": taken[name],
                    "epochs_at_end": until[name] / blend.windows[name],
                }


def _unreached(data: BlendData, windows: int) -> list[str]:
    return [
        f"warning: the run ends before the stage that begins at {stage.start * data.context_length:,} tokens"
        for stage in data.blend.stages
        if stage.start >= windows
    ]


def verdicts(mixture: str | Path, data_dir: str | Path) -> Iterator[dict[str, Any]]:
    """Read every shard of a mixture and judge it.

    Yields:
        One row a source: ``source, tokens, documents, problem``; a source without a problem has none.
    Raises:
        InputError: if the data folder does not exist.
    """
    if not Path(data_dir).is_dir():
        raise InputError(f"the data folder {data_dir} does not exist")
    for name in load_recipe(mixture).sources:
        try:
            shards = TokenShards(Path(data_dir) / name)
            shards.verify()
        except EduSieveError as error:
            yield {"source": name, "tokens": None, "documents": None, "problem": str(error)}
        else:
            documents = int(shards.manifest["documents"])
            yield {"source": name, "tokens": shards.tokens, "documents": documents, "problem": None}
