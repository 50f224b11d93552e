"""The command ``classifiers``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from classifiers.assignment import Annotation
from classifiers.cascade_settings import Making
from classifiers.cli_encoders import distill
from classifiers.cli_evaluate import evaluate
from classifiers.cli_robustness import robustness
from classifiers.cli_suggest import suggest
from classifiers.compare_settings import CompareSettings
from classifiers.recipe import PresetName, Recipe, with_preset
from classifiers.windows import Reading
from common import command

app = App(
    name="classifiers",
    help="Teach a classifier educational value from graded texts, measure it, and score documents with it.\n\n"
    "Example: classifiers score --input documents.jsonl.gz --out scores.parquet",
)

DEFAULTS = Recipe()
AS_TRAINED = Reading()
COMPARE_DEFAULTS = CompareSettings()
CASCADE_DEFAULTS = Making()
Flag = Annotated[bool, Parameter(negative=())]
Options = Annotated[Recipe, Parameter(name="*")]
Tables = Annotated[list[str], Parameter(consume_multiple=True)]

app.command(robustness)


@app.command
def annotate(
    *,
    input: str,
    out: Path,
    settings: Annotated[Annotation, Parameter(name="*", negative=())],
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Grade documents from 0 to 5 with language models behind an OpenAI-compatible server, into a labels table.

    A run that was stopped or killed goes on where it was when the same command is given again: nothing is asked or
    paid twice.

    Example: classifiers annotate --input documents.jsonl.gz --out labels.parquet --base-url http://localhost:8000/v1
    --model NAME --max-cost 5 --price-in 0.15 --price-out 0.6

    Parameters
    ----------
    input
        Documents, JSONL or Parquet with id and text: file, folder, glob or URL.
    out
        Labels table to write: .parquet, .jsonl or .jsonl.gz. Journal, failures and manifest stand beside it.
    settings
        Who grades what.
    dry_run
        Say what would be asked and what it would cost at most, and stop.
    json
        Print one JSON document.
    """
    from classifiers import annotate as annotation
    from classifiers.assignment import make_plan

    annotation.checked_out(out)
    plan = make_plan(input, settings)
    expected = annotation.preview(plan, out)
    if dry_run:
        command.emit(expected, command.table([expected]), json)
        return 0
    with command.progress(expected["requests"], " gradings", "annotate") as bar:
        result = annotation.annotate(plan, out, bar)
    command.emit(result, annotation.summary(result, out), json)
    return annotation.exit_status(result, settings.max_failed_fraction)


@app.command
def train(
    *,
    labels: Tables,
    out: Path,
    extend: Tables | None = None,
    replaces: Path | None = None,
    unlabelled: str | None = None,
    preset: PresetName | None = None,
    recipe: Options = DEFAULTS,
    robustness_windows: int = 300,
    threads: int = 1,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Train a classifier on graded texts, cross-validate it, calibrate it, and write its directory with a model card.

    Example: classifiers train --labels labels.jsonl.gz --out my-classifier --head ridge

    As phi-1 did: classifiers train --labels labels.jsonl.gz --out phi-1 --preset phi_1

    With new labels: classifiers train --labels old.jsonl.gz --extend new.parquet --replaces default --out my-classifier

    Parameters
    ----------
    labels
        Labels tables, JSONL or Parquet: id, text, score 0 to 5; where known kind, source, split. Rows whose split is
        "test" are left out. A window that was graded several times counts with its mean.
    out
        Classifier directory to write.
    extend
        New labels tables to learn from as well. What they bought is measured on the old documents: cross-validated
        figures without and with them.
    replaces
        Classifier directory, or default, that this one is to follow: refused if it learned from windows that are not
        in the tables, so that no old label is lost in silence.
    unlabelled
        More texts (id, text) of the kind that will be scored, to count how common words are.
    preset
        A published recipe to start from, in classifiers/presets; other options change it. phi_1: a random forest on
        the encoder's output; fineweb_edu: a linear head on it; static: a head on a static encoder. fine_tuned is ours:
        the encoder's middle layers learn too, in minutes a fold.
    robustness_windows
        Documents that the card's robustness is measured on, each eleven times; 0: none. See classifiers robustness.
    threads
        Folds that are trained at a time; the bytes do not depend on it.
    dry_run
        Say what would be trained and written, and stop.
    json
        Print one JSON document.
    """
    from classifiers import card, retraining, training
    from classifiers import robustness as robust
    from classifiers.model import check_target

    recipe = with_preset(preset, recipe) if preset else recipe
    graded, extension = retraining.read(labels, extend or [], replaces)
    if dry_run:
        plan = {"documents": len(graded), "gradings": int(graded.gradings.sum()), "out": str(out)}
        command.emit(plan | {"recipe": recipe.model_dump(mode="json")}, command.table([plan]), json)
        return
    check_target(out)
    dressed = robust.work(min(robustness_windows, len(graded)))
    with command.progress(retraining.work(recipe, graded, extension) + dressed, " texts", "train") as bar:
        ingredients = training.prepare(recipe, graded, training.read_texts(unlabelled), advance=bar.update)
        classifier, unseen = training.train(ingredients, graded, threads=threads, advance=bar.update)
        if extension:
            made = classifier, ingredients, extension, unseen
            classifier = retraining.with_gain(*made, threads=threads, advance=bar.update)
        if robustness_windows:
            tested = classifier, graded, unseen, robustness_windows
            classifier = robust.recorded(*tested, threads=threads, advance=bar.update)
    classifier.save(out, card.pages(classifier.about, graded, unseen))
    result = {"out": str(out), "digest": classifier.digest, **classifier.about["cross_validation"]}
    result |= {"extension": classifier.about["extension"]} if extension else {}
    command.emit(result, retraining.summary(result, replaces), json)


app.command(evaluate)


@app.command
def cascade(
    *,
    unlabelled: Annotated[tuple[str, ...], Parameter(negative=())],
    out: Path,
    calibration: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    classifier: Path | None = None,
    settings: Annotated[Making, Parameter(name="*")] = CASCADE_DEFAULTS,
    cache: Path | None = None,
    threads: int = 1,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Give a classifier a quick first stage, so that filters run needs the full model for few documents.

    The full model scores unlabelled texts; a student on words learns its scores; other documents show how far the
    student can be trusted. The classifier's directory is written again with both, and a section in its card.

    Example: classifiers cascade --classifier my-classifier --unlabelled documents.jsonl.gz --calibration
    crawl-sample.jsonl.gz --out my-classifier

    Parameters
    ----------
    unlabelled
        Documents to learn from, JSONL or Parquet with id and text: file, folder, glob or URL; may be given several
        times, and each gives the same share at most. Texts of any kind help.
    out
        Classifier directory to write; it may be that of the classifier.
    calibration
        Documents like those that will be filtered; those that the classifier was trained on are left out. Without it,
        half of the unlabelled ones.
    classifier
        Classifier directory; without it, the default that ships.
    settings
        How many texts, and what the card's table promises.
    cache
        Folder that keeps the full model's scores, so that a run that was killed goes on where it was.
    threads
        Batches of the full model at a time; the bytes do not depend on it.
    dry_run
        Say what would be scored and written, and stop.
    json
        Print one JSON document.
    """
    from classifiers import cascade_making
    from classifiers.model import EducationalClassifier, check_target

    check_target(out)
    loaded = EducationalClassifier.load(classifier)
    texts = cascade_making.gather(loaded, unlabelled, calibration, settings)
    plan = {"teaching": len(texts.teaching), "calibration": len(texts.calibration), "out": str(out)}
    if dry_run:
        command.emit(plan, command.table([plan]), json)
        return
    with command.progress(len(texts), " texts", "cascade") as bar:
        made = cascade_making.make(loaded, texts, settings, cache=cache, threads=threads, advance=bar.update)
    made.save(out, cascade_making.pages(classifier, made))
    figures = made.about["cascade"]
    result = {"out": str(out), "digest": made.digest, **figures}
    command.emit(result, command.table(figures["keep"]), json)


@app.command
def score(
    *,
    input: str,
    out: Path,
    classifier: Path | None = None,
    window: Reading = AS_TRAINED,
    threads: int = 1,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Score documents: a Parquet file with id, score (0 to 5), the probability of each grade, and the share read.

    Example: classifiers score --input documents.jsonl.gz --out scores.parquet --threads 2

    Long documents as a whole: classifiers score --input documents.jsonl.gz --out scores.parquet --window.policy all

    Parameters
    ----------
    input
        Documents, JSONL or Parquet with id and text: file, folder, glob or URL.
    out
        Parquet file to write, one row a document in the order of the input.
    classifier
        Classifier directory; without it, the default that ships.
    window
        What is read of a document, where it shall differ from what the classifier says.
    threads
        Batches that are computed at a time; the bytes do not depend on it.
    dry_run
        Say what would be scored and written, and stop.
    json
        Print one JSON document.
    """
    from classifiers import scoring
    from classifiers.model import EducationalClassifier
    from common.documents import expand

    loaded = EducationalClassifier.load(classifier).reading(window)
    files = expand(input)
    documents = scoring.count(files)
    if dry_run:
        plan = {"files": len(files), "documents": documents, "classifier": loaded.digest, "out": str(out)}
        command.emit(plan, command.table([plan]), json)
        return
    with command.progress(documents, " documents", "score") as bar:
        result = scoring.score_documents(input, out, loaded, threads, bar.update)
    command.emit(result, command.table([result | {"window": result["window"]["policy"]}]), json)


app.command(distill)


@app.command
def compare(
    champion: Path,
    challenger: Path,
    /,
    *,
    labels: str,
    pool: str,
    settings: Annotated[CompareSettings, Parameter(name="*")] = COMPARE_DEFAULTS,
    page: Path | None = None,
    threads: int = 1,
    dry_run: Flag = False,
    json: Flag = False,
) -> int:
    """Hold a new classifier against the one in use: what would be kept otherwise, drift, figures, and a gate.

    Exit status 1 if the challenger is worse: the 95% interval of its gain in the primary metric lies below −margin.

    Example: classifiers compare default my-classifier --labels new-labels.jsonl.gz --pool documents.jsonl.gz
    --page comparison.html

    Parameters
    ----------
    champion
        Classifier directory in use, or default.
    challenger
        Classifier directory that may replace it, or default.
    labels
        Labels table, JSONL or Parquet: id, text, score 0 to 5. Only what neither was trained on is used.
    pool
        Documents, JSONL or Parquet with id and text: file, folder, glob or URL. Each is scored by both.
    settings
        What is kept, what is told apart, and what decides.
    page
        HTML page to write, with texts that would be gained and lost.
    threads
        Batches that are computed at a time; no figure depends on it.
    dry_run
        Say what would be compared and written, and stop.
    json
        Print one JSON document.
    """
    from classifiers import compare as comparison
    from classifiers import compare_report

    comparison.checked_page(page)
    job = comparison.prepare(champion, challenger, labels, pool, settings)
    if dry_run:
        plan = job.plan() | {"page": page and str(page)}
        command.emit(plan, command.table([plan]), json)
        return 0
    with command.progress(job.work(), " texts", "compare") as bar:
        found = comparison.compare(job, threads, bar.update)
    if page:
        compare_report.write_page(found, page)
    command.emit(found.document() | {"page": page and str(page)}, compare_report.summary(found), json)
    return 0 if found.gate.passed else 1


app.command(suggest)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return command.run(app, arguments)
