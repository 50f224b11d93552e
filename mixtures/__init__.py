"""Corpora → token shards → exact, seekable blends of sources.

``Blend`` says which window comes when; ``open_blend`` reads those windows from shards for a trainer.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixtures.blend import Blend as Blend
    from mixtures.data import BlendData as BlendData
    from mixtures.data import open_blend as open_blend
    from mixtures.recipe import Recipe as Recipe
    from mixtures.recipe import load_recipe as load_recipe

_HOMES = {
    "Blend": "mixtures.blend",
    "BlendData": "mixtures.data",
    "Recipe": "mixtures.recipe",
    "load_recipe": "mixtures.recipe",
    "open_blend": "mixtures.data",
}
__all__ = ["Blend", "BlendData", "Recipe", "load_recipe", "open_blend"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that a command's help does not wait for numpy."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
