"""How often a verdict is false: recipes that are equal, compared as `evals compare` does, over a grid of noise.

    python -m benchmarks.verdicts

The world: a model gives the right answer of an item the probability sigmoid(difficulty + seed + noise). The difficulty
belongs to the item and is the same for every model; "seed" is what another seed of the recipe moves on all items of a
task, half of it on all tasks; "noise" is what it moves on this item alone. A trained model's score is the mean over
items, as in `evals compare`. Deviations are in logits: at a probability of one half 0.1 logit are 2.5 points.

For every setting stand side by side: how often two *equal* recipes are called better or worse in any line (three tasks
and their mean; at most 5% is promised), how often a difference of 0.1 logit is found in the mean with five seeds, how
often recipes that are just one margin apart are called equivalent, and what the usual test does, a paired test over
items on one trained model each. Exit status 1 if any rate is shown to be above 5%.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.command import note, progress, table
from evals.seeds import LEVEL, judge, shares, welch

SEEDS = (3, 5, 10)
ITEMS = (100, 1_000, 10_000)
SEED_SDS = (0.02, 0.05, 0.1)
ITEM_SDS = (0.25, 0.5, 1.0)
DIFFICULTY_SD = 1.5
TASKS = 3
EFFECT = 0.1
EFFECT_SEEDS = 5
MARGIN = 1e-9
"""For recipes that are equal: no margin takes part, so that nothing but the tests of a difference is on trial."""
MARGIN_SDS = 5.0
"""For the test of equivalence: a margin of so many deviations between seeds, where it has power."""
UNEQUAL = 3.0
"""How much more the one recipe varies than the other, in the last table."""
UNEQUAL_REPEATS = 20_000

Floats = NDArray[np.float64]


class World:
    """Scores of one draw after the other: ``means[seed sd, item sd, items, repeat, task, model]``, twice ten models.

    Fewer seeds are the first of ten, fewer items the first of 10,000: each setting by itself is a fair draw.
    """

    def __init__(self, repeats: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        grid = len(SEED_SDS), len(ITEM_SDS), len(ITEMS), repeats, TASKS
        self.means = np.empty((*grid, 2 * SEEDS[-1]))
        self.raised = np.empty((*grid, EFFECT_SEEDS))
        """the first models of the first recipe, all items 0.1 logit easier"""
        self.item_p = np.empty(grid)
        """p value of the paired test over items on the first model of each recipe"""
        with progress(repeats, " draws", "verdicts") as bar:
            for repeat in range(repeats):
                self._draw(repeat)
                bar.update()

    def _draw(self, repeat: int) -> None:
        shape = TASKS, 2 * SEEDS[-1]
        difficulty = self._normal(TASKS, 1, ITEMS[-1]) * np.float32(DIFFICULTY_SD)
        noise = self._normal(*shape, ITEMS[-1])
        luck = np.sqrt(np.float32(0.5)) * (self._normal(*shape) + self._normal(1, shape[1]))
        for j, item_sd in enumerate(ITEM_SDS):
            logits = noise * np.float32(item_sd) + difficulty
            for i, seed_sd in enumerate(SEED_SDS):
                shifted = logits + (luck * np.float32(seed_sd))[..., None]
                raised = _probability(shifted[:, :EFFECT_SEEDS] + np.float32(EFFECT))
                right = _probability(shifted)
                self.means[i, j, :, repeat] = _means(right)
                self.raised[i, j, :, repeat] = _means(raised)
                self.item_p[i, j, :, repeat] = _paired(right[:, 0] - right[:, SEEDS[-1]])

    def _normal(self, *shape: int) -> NDArray[np.float32]:
        return self._random.standard_normal(shape, dtype=np.float32)


def _probability(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """The sigmoid, in place; by tanh, which is twice as fast as by exp."""
    logits *= np.float32(0.5)
    np.tanh(logits, out=logits)
    logits += np.float32(1)
    logits *= np.float32(0.5)
    return logits


def _means(right: NDArray[np.float32]) -> Floats:
    """Means of the first 100, 1,000, 10,000 items: float64[items, …]."""
    return np.stack([right[..., :items].mean(axis=-1) for items in ITEMS]).astype(np.float64)


def _paired(gains: NDArray[np.float32]) -> Floats:
    """P values of a paired test over items, for the first 100, 1,000, 10,000: float64[items, tasks]."""
    from scipy.special import stdtr

    values = []
    for items in ITEMS:
        part = gains[:, :items].astype(np.float64)
        t = part.mean(axis=-1) / (part.std(axis=-1, ddof=1) / np.sqrt(items))
        values.append(2 * stdtr(items - 1, -np.abs(t)))
    return np.stack(values)


def lines(scores: Floats) -> Floats:
    """The mean over tasks, then each task: float64[repeats, 1 + tasks, models]."""
    return np.concatenate([scores.mean(axis=1, keepdims=True), scores], axis=1)


def words(first: Floats, second: Floats, margin: float = MARGIN) -> NDArray[np.str_]:
    """What `evals compare` says: str[repeats, 1 + tasks]."""
    is_declared = np.arange(first.shape[1]) == 0
    return judge(welch(first, second), shares(is_declared), margin).words


def rate(hits: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Share and its 95% interval (Clopper and Pearson 1934)."""
    from scipy.special import betaincinv

    n, k = hits.size, int(hits.sum())
    low = float(betaincinv(k, n - k + 1, 0.025)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 0.975)) if k < n else 1.0
    return k / n, low, high


def measured(world: World) -> list[dict[str, Any]]:
    """One row a setting."""
    rows = []
    grid = [(i, j, k) for i in range(len(SEED_SDS)) for j in range(len(ITEM_SDS)) for k in range(len(ITEMS))]
    for i, j, k in grid:
        scores, raised = lines(world.means[i, j, k]), lines(world.raised[i, j, k])
        second = scores[..., SEEDS[-1] :]
        power = rate(words(raised, second[..., :EFFECT_SEEDS])[:, 0] == "better")
        per_item = rate(world.item_p[i, j, k][:, 0] <= LEVEL)
        for seeds in SEEDS:
            one, other = scores[..., :seeds], second[..., :seeds]
            said = words(one, other)
            margin = MARGIN_SDS * float(second[:, 0].std(axis=-1, ddof=1).mean())
            apart = words(one + margin, other, margin)
            rows.append(
                {
                    "seeds": seeds,
                    "items": ITEMS[k],
                    "seed sd": SEED_SDS[i],
                    "item sd": ITEM_SDS[j],
                    "false": rate(((said == "better") | (said == "worse")).any(axis=1)),
                    "false equivalent": rate(apart[:, 0] == "equivalent"),
                    "power": power if seeds == EFFECT_SEEDS else None,
                    "per item": per_item,
                }
            )
    return rows


def unequal(seed: int) -> list[dict[str, Any]]:
    """Recipes of equal mean, one of which varies more between seeds: no equal recipes, but a hard case."""
    random = np.random.default_rng(seed)
    shape = UNEQUAL_REPEATS, TASKS, SEEDS[-1]
    first, second = (random.normal(size=shape) + random.normal(size=(shape[0], 1, shape[2])) for _ in range(2))
    rows = []
    for seeds in SEEDS:
        said = words(lines(UNEQUAL * first[..., :seeds]), lines(second[..., :seeds]))
        rows.append({"seeds": seeds, "false": rate(((said == "better") | (said == "worse")).any(axis=1))})
    return rows


def shown(value: tuple[float, float, float] | None) -> str:
    """A rate and its interval in percent."""
    return "" if value is None else f"{value[0]:5.1%} [{value[1]:.1%}, {value[2]:.1%}]"


def main() -> int:
    """Print the tables and one JSON row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2_000, help="draws a setting")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    start = time.process_time()
    world = World(given.repeats, given.seed)
    rows = measured(world)
    hard = unequal(given.seed)
    print(f"\nTwo recipes, {TASKS} tasks and their mean, {given.repeats:,} draws a setting; [95% interval]\n")
    titles = {
        "false": "equal: better or worse",
        "false equivalent": "a margin apart: equivalent",
        "power": f"{EFFECT} logit apart: found",
        "per item": "equal: paired test over items",
    }
    print(table([{titles.get(k, k): shown(v) if k in titles else v for k, v in row.items()} for row in rows]))
    print(f"\nEqual means, but the first recipe varies {UNEQUAL:g} times as much between seeds\n")
    print(table([{"seeds": row["seeds"], titles["false"]: shown(row["false"])} for row in hard]))
    above = [row for kind in ("false", "false equivalent") for row in rows if row[kind][1] > LEVEL]

    def spread(kind: str) -> dict[str, float]:
        rates = [row[kind][0] for row in rows if row[kind]]
        return {"least": min(rates), "mean": float(np.mean(rates)), "most": max(rates)}

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    summary = {
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "repeats": given.repeats,
        "settings": len(rows),
        "false": spread("false"),
        "false_equivalent": spread("false equivalent"),
        "settings_above_5_percent": len(above),
        "power": spread("power"),
        "per_item_false": spread("per item"),
        "cpu_s": round(time.process_time() - start, 1),
    }
    print(f"\n{json.dumps(summary)}")
    note("every rate of false verdicts is at most 5%" if not above else f"{len(above)} settings are above 5%")
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
