"""What `classifiers suggest` is worth: grades needed with it and with random choice, on labels that exist.

    python -m benchmarks.suggest --labels labels.jsonl.gz
    python -m benchmarks.suggest --labels labels.jsonl.gz --choose-from more.jsonl --start 900 --batch 200 --rounds 3

The grades are hidden and bought. For each seed and each of five folds, which near-duplicates do not straddle: a model
starts from some documents of the other folds, drawn at random; each round it is trained and calibrated, a batch is
chosen, and its grades are revealed. Choice is by the very code of the command, or random, or by one of two strategies
that were not taken. Each fold is scored by the models of every round, which have not seen it. Features and head are
the middle layers and the support vector machine of the default recipe; they are computed once (--cache keeps them).

Figures are medians over the seeds, with the lowest and highest in brackets. The gain over random choice is the mean
over seeds and rounds; its interval is a bootstrap over groups of near-duplicates, the same for both. Prints a table,
and last one JSON row.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from classifiers import heads
from classifiers.calibration import fit_calibration
from classifiers.labels import Labels, folds, read_labels
from classifiers.lottery import Candidate, KnownTexts, Lottery
from classifiers.metrics import auc, best_f1, resamples, spearman
from classifiers.recipe import Recipe
from classifiers.training import prepare
from common.command import progress, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
    Places = NDArray[np.int64]
    Strategy = Callable[[Labels, "Doubt", int, int], list[int]]

RECIPE = Recipe(static_dimensions=0)
GRADE = 3
FOLDS = 5
SHOWN = ("random", "suggest")
METRICS: dict[str, Callable[[Scores, Scores], float]] = {
    "auc": lambda truth, scores: auc(truth >= GRADE, scores) or 0.0,
    "best_f1": lambda truth, scores: (best_f1(truth >= GRADE, scores) or {"f1": 0.0})["f1"],
    "spearman": lambda truth, scores: spearman(truth, scores) or 0.0,
}


class World:
    """Every document and its grade, and the default head on the default features.

    The kernel between all documents is computed once, on features that were scaled once; so a training costs little.
    """

    def __init__(self, labels: Labels, blocks: Sequence[NDArray[np.float32]]) -> None:
        self.labels = labels
        self.machine = heads.make("svr").machine
        # blocks weigh alike and have together the mean square length 1, as in heads.fit
        lengths = [np.sqrt(len(blocks) * block.var(axis=0).sum()) for block in blocks]
        rows = np.hstack([(b - b.mean(axis=0)) / length for b, length in zip(blocks, lengths, strict=True)])
        squares = (rows**2).sum(axis=1)
        distances = np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0)
        self.kernel = np.exp(-self.machine.gamma * distances)
        self.machine.set_params(kernel="precomputed")

    def taught(self, learned: Places, asked: Places) -> Scores:
        """Raw scores of the documents ``asked`` by a head that learned from others."""
        fitted = self.machine.fit(self.kernel[np.ix_(learned, learned)], self.labels.scores[learned])
        return np.asarray(fitted.predict(self.kernel[np.ix_(asked, learned)]), np.float64)

    def doubt(self, learned: Places, asked: Places) -> Doubt:
        """What the calibrated model says of documents whose grades it has not seen."""
        part, unseen = np.arange(len(learned)) % FOLDS, np.empty(len(learned))
        for number in range(FOLDS):
            unseen[part == number] = self.taught(learned[part != number], learned[part == number])
        calibration = fit_calibration(unseen, self.labels.scores[learned])
        raw = self.taught(learned, asked)
        return Doubt(calibration.probability(raw, GRADE), calibration.score(raw))


class Doubt(NamedTuple):
    """P(grade ≥ 3) and score of each document."""

    chances: NDArray[np.float32]
    scores: NDArray[np.float32]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", required=True, help="labels table to start from and to test on")
    parser.add_argument("--choose-from", help="labels table to choose from; without it, the rest of --labels")
    parser.add_argument("--start", type=int, default=100, help="documents that are graded at first")
    parser.add_argument("--batch", type=int, default=50, help="documents a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", type=Path, help="file to keep the features in")
    options = parser.parse_args(arguments)

    tested = read_labels(options.labels)
    labels = read_labels([options.labels, *([options.choose_from] if options.choose_from else [])])
    world = World(labels, embedded(labels, options.cache))
    mine = set(zip(tested.ids, tested.texts, strict=True))
    inside = np.array([window in mine for window in zip(labels.ids, labels.texts, strict=True)])
    places = np.flatnonzero(inside)
    choice = np.flatnonzero(~inside) if options.choose_from else places
    scores = {name: np.empty((options.seeds, options.rounds + 1, len(places))) for name in STRATEGIES}
    with progress(options.seeds * FOLDS * len(STRATEGIES), " runs", "suggest") as bar:
        for seed in range(options.seeds):
            fold = folds(labels.take(places), FOLDS, seed)
            for number in range(FOLDS):
                test, rest = places[fold == number], places[fold != number]
                held_out = np.isin(labels.groups, labels.groups[test])
                first = np.random.default_rng([seed, number]).permutation(rest)[: options.start]
                pool = choice[~held_out[choice] & ~np.isin(choice, first)]
                for name, strategy in STRATEGIES.items():
                    seeds = [1000 * seed + turn for turn in range(options.rounds)]
                    runs = bought(world, strategy, first, pool, test, batch=options.batch, seeds=seeds)
                    scores[name][seed][:, fold == number] = runs
                    bar.update(1)
    truth, groups = labels.scores[places], labels.groups[places]
    rows = curve(scores, truth, options.start, options.batch)
    gains = [gain(name, scores, truth, groups) for name in STRATEGIES if name != "random"]
    print(table(rows), table(gains), sep="\n\n")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    head = {"benchmark": "suggest", "commit": commit.stdout.strip(), "machine": platform.machine()}
    given = {key: value for key, value in vars(options).items() if key != "cache"}
    print(json.dumps(head | given | {"documents": len(labels), "curve": rows, "gains": gains}))


def bought(
    world: World, strategy: Strategy, learned: Places, pool: Places, test: Places, *, batch: int, seeds: Sequence[int]
) -> NDArray[np.float64]:
    """Scores of the ``test`` documents at the start and after every round: float64[rounds + 1, test]."""
    found = [world.taught(learned, test)]
    for seed in seeds:
        chosen = strategy(world.labels.take(pool), world.doubt(learned, pool), batch, seed)
        learned, pool = np.append(learned, pool[chosen]), np.delete(pool, chosen)
        found.append(world.taught(learned, test))
    return np.array(found)


def by_lottery(random_share: float) -> Strategy:
    """The command's own choice."""

    def choose(pool: Labels, doubt: Doubt, count: int, seed: int) -> list[int]:
        lottery = Lottery(count, random_share, seed)
        for place, chance in enumerate(doubt.chances.tolist()):
            lottery.offer(Candidate(pool.ids[place], pool.texts[place], chance, {"place": place}))
        return [pick.candidate.more["place"] for pick in lottery.draw(KnownTexts())]

    return choose


def at_random(pool: Labels, doubt: Doubt, count: int, seed: int) -> list[int]:
    """Every document alike."""
    return list(np.random.default_rng(seed).permutation(len(pool))[:count])


def most_uncertain(pool: Labels, doubt: Doubt, count: int, seed: int) -> list[int]:
    """Nearest to an even chance; of equal ones the higher score."""
    return list(np.lexsort((-doubt.scores, np.abs(doubt.chances - 0.5)))[:count])


def highest(pool: Labels, doubt: Doubt, count: int, seed: int) -> list[int]:
    """The best: more of the rare class."""
    return list(np.argsort(-doubt.scores, kind="stable")[:count])


STRATEGIES: dict[str, Strategy] = {
    "random": at_random,
    "suggest": by_lottery(0.2),
    "suggest, no random share": by_lottery(0.0),
    "most uncertain": most_uncertain,
    "highest score": highest,
}


def embedded(labels: Labels, cache: Path | None) -> list[NDArray[np.float32]]:
    """The default recipe's features of every window."""
    if cache and cache.exists():
        kept = np.load(cache, allow_pickle=False)
        if str(kept["digest"]) == labels.digest:
            return [kept[name] for name in RECIPE.parts[0].reads]
    with progress(len(labels), " texts", "embed") as bar:
        features = prepare(RECIPE, labels, advance=bar.update).features
    if cache:
        arrays: dict[str, Any] = features | {"digest": np.array(labels.digest)}
        np.savez(cache, **arrays)
    return [features[name] for name in RECIPE.parts[0].reads]


def curve(scores: dict[str, Scores], truth: Scores, start: int, batch: int) -> list[dict[str, Any]]:
    """Median and range over the seeds of each figure, by documents graded."""

    def cell(name: str, step: int, metric: str) -> str:
        found = [METRICS[metric](truth, run[step]) for run in scores[name]]
        return f"{statistics.median(found):.3f} [{min(found):.3f}, {max(found):.3f}]"

    return [
        {"graded": start + step * batch, "choice": name} | {metric: cell(name, step, metric) for metric in METRICS}
        for step in range(scores["random"].shape[1])
        for name in (SHOWN if step else SHOWN[:1])
    ]


def gain(name: str, scores: dict[str, Scores], truth: Scores, groups: NDArray[np.int64]) -> dict[str, str]:
    """Mean gain over random choice, over seeds and rounds, with a paired 95% interval."""
    row = {"gain over random": name}
    ours, theirs = (scores[which][:, 1:].reshape(-1, len(truth)) for which in (name, "random"))
    samples = resamples(groups, 0)[:300]
    for metric, figure in METRICS.items():

        def mean_gain(places: Any, figure: Callable[[Scores, Scores], float] = figure) -> float:
            pairs = zip(ours[:, places], theirs[:, places], strict=True)
            return statistics.mean(figure(truth[places], a) - figure(truth[places], b) for a, b in pairs)

        low, high = np.quantile([mean_gain(places) for places in samples], [0.025, 0.975])
        row[metric] = f"{mean_gain(slice(None)):+.4f} [{low:+.4f}, {high:+.4f}]"
    return row


if __name__ == "__main__":
    main()
