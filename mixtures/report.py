"""What people ask about a mixture before and after a run: how much of each source, and are the shards whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.errors import EduSieveError, InputError, SettingsError
from mixtures.data import open_blend
from mixtures.recipe import load_recipe
from mixtures.shards import TokenShards


def shown_use(mixture: str | Path, data_dir: str | Path, tokens: int, context_length: int, seed: int) -> dict[str, Any]:
    """What a run of ``tokens`` predicted tokens takes from each source of a mixture.

    Raises:
        SettingsError: if ``tokens`` is less than one window, or a source is repeated more often than allowed.
    """
    if tokens < context_length:
        raise SettingsError(f"tokens ({tokens:,}) must be at least one window of {context_length:,}")
    data = open_blend(mixture, data_dir, context_length, seed)
    windows = tokens // context_length
    rows = [
        {
            "source": use.source,
            "weight": str(data.blend.weights[use.source]),
            "tokens": use.tokens,
            "windows": use.windows,
            "available_windows": use.available_windows,
            "epochs": use.epochs,
            "repeats": use.repeats,
            "max_repeats": use.max_repeats,
        }
        for use in data.use(windows)
    ]
    return {
        "mixture": str(mixture),
        "tokens": windows * context_length,
        "windows": windows,
        "context_length": context_length,
        "seed": seed,
        "digest": data.digest,
        "sources": rows,
    }


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
