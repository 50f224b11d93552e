"""A mixture over real shards: what a trainer reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.errors import InputError
from common.files import content_key
from mixtures.blend import Blend
from mixtures.permutation import GOLDEN_RATIO
from mixtures.recipe import Recipe, Use, load_recipe, planned_use
from mixtures.shards import TokenShards


class BlendData:
    """The windows of a mixture in training order. Made by :func:`open_blend`."""

    def __init__(self, recipe: Recipe, shards: dict[str, TokenShards], context_length: int, seed: int) -> None:
        self.recipe = recipe
        self.shards = shards
        self.context_length = context_length
        self.blend = Blend(
            recipe.weights,
            {name: source.windows(context_length, recipe.shift_epochs) for name, source in shards.items()},
            seed,
            {name: source.content_hash for name, source in shards.items()},
            recipe.stages(context_length),
        )
        shifts = ["shifted epochs"] if recipe.shift_epochs else []
        self.digest: str = content_key("blend data", self.blend.digest, context_length, *shifts)
        """32 hex characters over weights, shards, seed and context length: equal digests promise equal windows."""

    @property
    def names(self) -> tuple[str, ...]:
        """The sources; :meth:`read` names them by their place here."""
        return self.blend.names

    def read(self, start: int, stop: int) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
        """Windows ``start`` to ``stop`` (exclusive) of the run.

        Returns:
            tokens, uint16[n, context_length + 1], and source, int64[n].
        """
        source, epoch, window = self.blend.slots(start, stop)
        shift = epoch_shift(epoch, self.context_length) if self.recipe.shift_epochs else np.zeros_like(epoch)
        tokens = np.empty((stop - start, self.context_length + 1), dtype=np.uint16)
        in_order = [self.shards[name] for name in self.names]
        places = zip(source.tolist(), window.tolist(), shift.tolist(), strict=True)
        for row, (number, place, later) in enumerate(places):
            tokens[row] = in_order[number].read(place, self.context_length, later)
        return tokens, source

    def check(self) -> None:
        """Hold the bytes of every source against its manifest: a disk's speed, once before a long run.

        Raises:
            IntegrityError: at the first file that differs.
        """
        for source in self.shards.values():
            source.check()

    def use(self, windows: int) -> list[Use]:
        """What a run of ``windows`` windows takes from each source.

        Raises:
            SettingsError: if it repeats a source more often than the mixture allows.
        """
        return planned_use(self.recipe, self.blend, windows, self.context_length)


def epoch_shift(epoch: NDArray[np.int64], context_length: int) -> NDArray[np.int64]:
    """How many tokens later each epoch is cut into windows: multiples of the golden ratio, modulo the context length.

    The cuts of the first epochs lie as far from one another as the cuts of so many epochs can; epoch 0 is not shifted.

    >>> epoch_shift(np.arange(5), 1000).tolist()
    [0, 618, 236, 854, 472]
    """
    turns = epoch.astype(np.uint64) * GOLDEN_RATIO  # wraps: the fraction of a turn, in 2^-64
    return (((turns >> np.uint64(32)) * np.uint64(context_length)) >> np.uint64(32)).astype(np.int64)


def open_blend(mixture: str | Path, data_dir: str | Path, context_length: int, seed: int) -> BlendData:
    """Open a mixture over the shards in ``data_dir``.

    Args:
        mixture: name of a shipped mixture, or a YAML file.
        data_dir: folder that holds one folder of shards for each source of the mixture.
        context_length: predicted tokens a window.
        seed: seed of the order.
    Raises:
        InputError: if a source has no shards, or fewer tokens than a window.
        IntegrityError: if shards were made with another tokenizer or are damaged.
        SettingsError: if the mixture is wrong.
    """
    recipe = load_recipe(mixture)
    shards = open_sources(recipe, data_dir)
    for name, source in shards.items():
        if source.windows(context_length, recipe.shift_epochs) < 1:
            needed = context_length + 1 if not recipe.shift_epochs else 2 * context_length
            raise InputError(
                f"{source.folder} has {source.tokens:,} tokens, fewer than one window of {needed:,}; "
                f"add text to {name} or shorten the context"
            )
    return BlendData(recipe, shards, context_length, seed)


def open_sources(recipe: Recipe, data_dir: str | Path) -> dict[str, TokenShards]:
    """The shards of every source of ``recipe``."""
    if not Path(data_dir).is_dir():
        raise InputError(f"the data folder {data_dir} does not exist")
    return {name: TokenShards(Path(data_dir) / name) for name in recipe.sources}
