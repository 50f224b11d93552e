"""Educational-value classifiers: graded windows in, scores from 0 to 5 out.

``EducationalClassifier.load(None).score(texts)`` is all that other packages need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifiers.model import EducationalClassifier

__all__ = ["EducationalClassifier"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from classifiers import model  # numpy and pydantic: not needed for --help

        return getattr(model, name)
    raise AttributeError(f"module 'classifiers' has no attribute {name!r}")
