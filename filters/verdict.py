"""Why a document was dropped: a reason, and the measurement that decided it beside its limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rejection:
    """One rule's answer to one document.

    ``reason`` is ``<rule set>_<rule>`` in lower case with underscores, equal for every document the rule rejects:
    reports group by it. The limit is the setting that was compared, so a reader sees how far off the document was.
    """

    reason: str
    value: float
    limit: float
