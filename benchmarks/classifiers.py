"""Classifiers of educational text head to head: published recipes, our default, and our cascade.

    python -m benchmarks.pool_labels --pool pool.jsonl.gz --out pool-labels.parquet
    python -m benchmarks.classifiers --labels labels.jsonl.gz --extend pool-labels.parquet --pool pool.jsonl.gz \\
        --cache cache --page docs/classifiers_benchmark.md

Everybody learns from the same graded windows in the same five folds: those of the cross-validation that the default's
own training made, where near-duplicates do not straddle. The windows of ``--labels`` are tested, those of ``--extend``
are only learned from; together they are what the default was trained on, so its scores are those that it keeps
(``classifiers evaluate --out-of-fold``). Scores are calibrated alike for all. Intervals are bootstrap intervals over
groups; the gains of the default are paired. Speed is CPU time of one core on ``--windows`` of the tested windows, in
turns, each system in a process of its own.

With ``--cache`` what the frozen encoder makes of the windows is kept between runs (seven minutes of one core for 4,261
windows). Prints two tables, and last one JSON row a system.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import classifiers_page as page
from benchmarks.classifiers_ours import default_unseen, embedded, screen
from benchmarks.classifiers_peers import GRADE, Embedded, FastText, Peer, Trial, Words, load_fasttext, unseen
from benchmarks.classifiers_speed import Contender, Speed, load_cascade, load_classifier, measure
from classifiers.distill import distill_to, load_teacher
from classifiers.labels import read_labels
from classifiers.metrics import report
from classifiers.model import EducationalClassifier
from classifiers.model_files import folder_digest, resolve
from classifiers.paired import Paired, paired_figures
from classifiers.recipe import layer_name
from classifiers.training import read_texts
from classifiers.windows import head
from common.command import progress, table
from common.files import content_key, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from classifiers.compare_settings import Metric

    Scores = NDArray[np.float64]

STATIC_COLUMNS = 256
DEFAULT, CASCADE = "our default", "our cascade"
LOADERS = {"words": Words.load, "fasttext": load_fasttext, "fasttext_grades": load_fasttext}
PEERS = ("words", "fasttext", "fasttext_grades", "static", "linear", "forest")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", required=True, help="labels table that is tested, fold by fold")
    parser.add_argument("--extend", help="labels table that is only learned from")
    parser.add_argument("--pool", help="documents a cascade works among; common tokens are counted on them")
    parser.add_argument("--classifier", default="default", help="directory of the default")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS, help="whom to compare with")
    parser.add_argument("--windows", type=int, default=400, help="windows to time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cache", type=Path, help="folder to keep what the frozen encoder gives")
    parser.add_argument("--page", type=Path, help="page to write, .md; the plot goes beside it")
    options = parser.parse_args(arguments)

    ours = EducationalClassifier.load(options.classifier)
    further = read_labels(options.extend) if options.extend else None
    trial = Trial.of(read_labels(options.labels), further, lambda labels: default_unseen(ours, labels).fold)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        raw, settings, contenders = scored(ours, trial, options, work)
        asked = None
        if ours.cascade:
            screened = screen(ours.cascade, trial.tested.texts, read_texts(options.pool))
            raw[CASCADE], asked = screened.with_full(raw[DEFAULT]), float(screened.asked.mean())
            texts = [text for text, full in zip(trial.tested.texts, screened.asked, strict=True) if full]
            write_json(work / "cascade.json", {"classifier": options.classifier, "asked": texts})
            contenders[CASCADE] = Contender(CASCADE, load_cascade, work / "cascade.json")
        places = np.linspace(0, trial.count - 1, min(options.windows, trial.count)).astype(int)
        with progress(len(contenders) * options.repeats, " turns", "time") as bar:
            timed = [trial.labels.texts[i] for i in places]
            speeds = measure(list(contenders.values()), timed, options.repeats, bar.update)
    run = surroundings() | {"windows": len(places), "asked": asked, "encoder": named(ours.recipe.encoder)}
    run |= {"documents": trial.count, "positives": int((trial.tested.scores >= GRADE).sum())}
    run |= {"further": len(trial.labels) - trial.count, "command": command(options)}
    rows = judged(trial, raw, speeds, settings)
    print(table(page.figures(rows)), table(page.gains(rows)), sep="\n\n")
    for row in rows:
        print(json.dumps({"benchmark": "classifiers"} | run | row))
    if options.page:
        page.write(options.page, rows, run)


def scored(
    ours: EducationalClassifier, trial: Trial, options: argparse.Namespace, work: Path
) -> tuple[dict[str, Scores], dict[str, dict[int, Any]], dict[str, Contender]]:
    """Raw out-of-fold scores of the peers and the default by name, the settings chosen, and who is to be timed."""
    cache = options.cache or work / "cache"
    raw: dict[str, Scores] = {}
    settings: dict[str, dict[int, Any]] = {}
    contenders: dict[str, Contender] = {}
    listed = peers(ours, trial, options, cache)
    with progress(len(listed) * len(trial.turns), " folds", "cross-validate") as bar:
        for key, peer in listed.items():
            bar.set_postfix_str(peer.name)
            raw[peer.name], settings[peer.name] = unseen(peer, trial, bar.update)
            (work / key).mkdir()
            peer.save(work / key, trial.labels, usual(settings[peer.name]))
            load = LOADERS.get(key, load_classifier)
            path = work / key / "classifier" if load is load_classifier else work / key
            contenders[peer.name] = Contender(peer.name, load, path)
    raw[DEFAULT] = default_unseen(ours, trial.tested).raw
    contenders[DEFAULT] = Contender(DEFAULT, load_classifier, Path(options.classifier))
    return raw, settings, contenders


def peers(ours: EducationalClassifier, trial: Trial, options: argparse.Namespace, cache: Path) -> dict[str, Peer]:
    """Those that are wanted, by key; they read the encoder that the default reads."""
    recipe, texts = ours.recipe, trial.labels.texts
    name, wanted = recipe.encoder, set(options.peers)
    found: dict[str, Peer] = {}
    if "words" in wanted:
        found["words"] = Words()
    if "fasttext" in wanted:
        found["fasttext"] = FastText("fastText, ≥ 3 (DCLM)", graded=False)
    if "fasttext_grades" in wanted:
        found["fasttext_grades"] = FastText("fastText, six grades", graded=True)
    if "static" in wanted:
        static = distilled(name, [head(text, recipe.window) for text in read_texts(options.pool)], cache)
        vectors = embedded(static, recipe.window, (0,), texts, cache)[layer_name(0)]
        encoder = (static, folder_digest(resolve(static)))
        found["static"] = Embedded("static encoder + SVR", "svr", vectors, encoder, recipe.window)
    if wanted & {"linear", "forest"}:
        # one pass gives the default's layers too
        layers = (0,) if recipe.fine_tune else tuple(dict.fromkeys((0, *recipe.layers)))
        vectors = embedded(name, recipe.window, layers, texts, cache)[layer_name(0)]
        encoder = (name, folder_digest(resolve(name)))
        if "linear" in wanted:
            title = "frozen encoder + linear (FineWeb-Edu)"
            found["linear"] = Embedded(title, "ridge", vectors, encoder, recipe.window)
        if "forest" in wanted:
            title = "frozen encoder + forest (phi-1)"
            found["forest"] = Embedded(title, "forest", vectors, encoder, recipe.window)
    return found


def distilled(encoder: str, texts: Sequence[str], cache: Path) -> str:
    """A static encoder of the output of ``encoder``, in the cache."""
    folder = cache / f"static-{content_key(folder_digest(resolve(encoder)), list(texts))}"
    if not folder.exists():
        teacher = load_teacher(encoder, (0,), 1)
        with progress(teacher.tokenizer.get_vocab_size(), " tokens", "distil") as bar:
            distill_to(folder, teacher, texts, min(STATIC_COLUMNS, teacher.dimensions), bar.update)
    return str(folder)


def judged(
    trial: Trial, raw: Mapping[str, Scores], speeds: Mapping[str, Speed], settings: Mapping[str, dict[int, Any]]
) -> list[dict[str, Any]]:
    """A row a system: figures with intervals, the gain of the default, speed, memory, and the settings chosen."""
    tested, groups = trial.tested, trial.groups[: trial.count]
    calibrated = {name: trial.calibrated(found) for name, found in raw.items()}
    ours = _double(calibrated[DEFAULT][0])
    rows = []
    for name, (scores, chances) in calibrated.items():
        whole = report(scores, tested.scores, chances, groups)
        pairs = paired_figures(tested.scores, _double(scores), ours, groups)
        chosen = [setting for setting in settings.get(name, {}).values() if setting is not None]
        rows.append(
            {"system": name, "key": {DEFAULT: "default", CASCADE: "cascade"}.get(name, "peer")}
            | {metric: whole["thresholds"][str(GRADE)][metric] for metric in ("auc", "best_f1", "f1")}
            | {metric: whole[metric] for metric in ("spearman", "quadratic_kappa")}
            | {"default_minus_this": None if name == DEFAULT else _gains(pairs)}
            | speeds[name].row()
            | {"settings": chosen}
        )
    return rows


def usual(chosen: Mapping[int, Any]) -> Any:
    """The setting that most folds chose."""
    listed = list(chosen.values())
    return max(listed, key=listed.count)


def surroundings() -> dict[str, Any]:
    """Where and with what this runs."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    names = ("numpy", "scikit-learn", "torch", "transformers")
    cpu = next(
        (
            line.partition(": ")[2]
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    return {
        "commit": commit.stdout.strip(),
        "machine": platform.machine(),
        "cpu": f"{cpu}, {os.cpu_count()} cores",
        "load": f"load {os.getloadavg()[0]:.1f} at the end",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in names},
    }


def named(encoder: str) -> str:
    """An encoder without the place where its folder lies."""
    return Path(encoder).name if Path(encoder).is_dir() else encoder


def command(options: argparse.Namespace) -> str:
    """The command line, with files by their names."""
    words = ["python -m benchmarks.classifiers"]
    for name in ("labels", "extend", "pool", "classifier", "cache"):
        value = getattr(options, name)
        if value and value != "default":
            words.append(f"--{name.replace('_', '-')} {Path(value).name}")
    return " ".join(words)


def _gains(pairs: Mapping[Metric, Paired | None]) -> dict[str, dict[str, float] | None]:
    return {name: asdict(pair.gain) if pair else None for name, pair in pairs.items() if name in page.GAINS}


def _double(scores: NDArray[np.float32]) -> Scores:
    return scores.astype(np.float64)


if __name__ == "__main__":
    main()
