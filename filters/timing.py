"""CPU seconds of a job, from those that its steps took on a sample of it.

A step takes so long a document, and a little for every unit of work whatever it holds: a process begins, files are
opened. A sample has few small units and the job many large ones, or the reverse, and one sample cannot tell the two
apart; so its interval reaches from no cost of a unit to the most that was seen. It also allows for the machine: the
same work takes more CPU seconds the more others want its caches and its clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from filters.estimates import Estimate

UNIT_SECONDS, MOST_UNIT_SECONDS = 0.05, 0.1
"""CPU seconds of a unit that holds next to nothing: usually, and at most."""
MACHINE, MACHINE_ONE_STEP = 1.25, 1.5
"""The same work may take this many times as long, or as short, at another hour: all together, and a step alone, whose
luck nothing evens out."""


@dataclass(frozen=True)
class Timing:
    """What a step took on a sample.

    Attributes:
        seconds: CPU seconds, with the beginning of its units.
        units: of work.
        documents: that went through it.
    """

    seconds: float
    units: int
    documents: int

    @property
    def each(self) -> float:
        """CPU seconds a document, without the beginning of units."""
        return self._split(UNIT_SECONDS)[0]

    def projected(self, documents: Estimate, units: int) -> Estimate:
        """CPU seconds of ``documents`` in so many units."""
        each, unit = self._split(UNIT_SECONDS)
        ends = [self._split(most) for most in (0.0, UNIT_SECONDS, MOST_UNIT_SECONDS)]
        low = min(each * documents.low + unit * units for each, unit in ends)
        high = max(each * documents.high + unit * units for each, unit in ends)
        return Estimate(each * documents.value + unit * units, low, high)

    def _split(self, unit: float) -> tuple[float, float]:
        """CPU seconds a document and a unit, if a unit takes ``unit``, or all that there is to share."""
        unit = min(unit, self.seconds / max(1, self.units))
        return (self.seconds - unit * self.units) / max(1, self.documents), unit


def at_any_time(seconds: Estimate, factor: float) -> Estimate:
    """The estimate with room for a machine that is busier or quieter than it was."""
    return Estimate(seconds.value, seconds.low / factor, seconds.high * factor)
