"""What grading has cost, what it may have cost, and whether the next request may still be sent under a limit.

Before a request is sent its dearest outcome is reserved: the tokens of its prompt, and the longest reply that it asks
for. Tokens of a prompt are guessed from its bytes, and never below the worst rate the server has reported so far. Paid
and reserved money together never pass the limit, so that parallel requests cannot pass it together.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

TOKENS_A_BYTE = 1 / 3
"""A cautious guess: English prose has about 1/4, dense scripts up to 1/3."""


@dataclass(frozen=True)
class Tariff:
    """Price of one model, in USD per million tokens."""

    prompt: float
    reply: float

    def usd(self, prompt_tokens: int, reply_tokens: int) -> float:
        return (prompt_tokens * self.prompt + reply_tokens * self.reply) / 1e6


@dataclass
class Meter:
    """Running cost of one run and of those that it resumes, in USD."""

    tariffs: Mapping[str, Tariff]
    limit_usd: float | None = None
    paid_usd: float = 0.0
    maybe_paid_usd: float = 0.0
    """Of requests that were sent and never answered: the server may have billed them."""
    reserved_usd: float = 0.0
    _rates: dict[str, float] = field(default_factory=dict)
    _longest: dict[str, int] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def tokens(self, model: str, prompt_bytes: int) -> int:
        """Tokens of a prompt, guessed on the high side."""
        return math.ceil(prompt_bytes * max(TOKENS_A_BYTE, self._rates.get(model, 0)))

    def at_most(self, model: str, prompt_bytes: int, max_reply_tokens: int) -> float:
        """Highest price of a request."""
        reply_tokens = max(max_reply_tokens, self._longest.get(model, 0))
        return self.tariffs[model].usd(self.tokens(model, prompt_bytes), reply_tokens)

    async def reserve(self, usd: float) -> bool:
        """Set ``usd`` aside. Waits for requests in flight while these hold the money; False if it would not do."""
        async with self._changed:
            while not self._affordable(usd):
                if not self.reserved_usd:
                    return False
                await self._changed.wait()
            self.reserved_usd += usd
        return True

    async def settle(self, reserved: float, paid: float = 0.0, maybe_paid: float = 0.0) -> None:
        """End a reservation with what was paid, or may have been."""
        async with self._changed:
            # sums of floats: with nothing else set aside the rest is rounding
            rest = self.reserved_usd - reserved
            self.reserved_usd = rest if rest > 1e-12 else 0.0
            self.paid_usd += paid
            self.maybe_paid_usd += maybe_paid
            self._changed.notify_all()

    def observe(self, model: str, prompt_bytes: int, prompt_tokens: int, reply_tokens: int) -> None:
        """Learn from the usage that a server reports."""
        self._rates[model] = max(self._rates.get(model, 0), prompt_tokens / max(prompt_bytes, 1))
        self._longest[model] = max(self._longest.get(model, 0), reply_tokens)

    def _affordable(self, usd: float) -> bool:
        if self.limit_usd is None:
            return True
        return self.paid_usd + self.maybe_paid_usd + self.reserved_usd + usd <= self.limit_usd * (1 + 1e-12)
