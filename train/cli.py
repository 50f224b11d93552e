"""The command ``train``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from common import command
from train.generate import Mode
from train.settings import TrainSettings

app = App(
    name="train",
    help="Train a phi-1.5 model on a mixture of token shards. The defaults are the paper's recipe.\n\n"
    "Example: train --mixture web_only --data data --out runs/web_only --model nano "
    "--tokens 1_000_000 --context-length 256 --batch.windows 16 --optimizer.learning-rate 2e-3",
)

Flag = Annotated[bool, Parameter(negative=())]
Options = Annotated[TrainSettings, Parameter(name="*")]


@app.default
def run(*, settings: Options, out: Path, config: Path | None = None, dry_run: Flag = False, json: Flag = False) -> int:
    """Train a model; a killed run goes on from its newest checkpoint, a finished one does nothing.

    Parameters
    ----------
    out
        Run directory: settings, ledger, metrics, TensorBoard, checkpoints, exported model.
    config
        YAML file that sets any of these options.
    dry_run
        Print the plan of the run, and stop.
    json
        Print one JSON document.
    """
    from train import engine
    from train.loop import train

    if dry_run:
        from train.run import adopt

        adopt(out, settings)
        _show_plan(settings, json)
        return 0
    outcome = train(settings, out)
    if engine.world().is_first:
        command.note(outcome.remark(out))
        command.emit({"run": str(out), **outcome.report()}, command.table([outcome.report(flat=True)]), json)
    return outcome.exit_status


@app.command
def plan(*, settings: Options, config: Path | None = None, json: Flag = False) -> None:
    """Show what a run will be: parameters, steps, tokens and epochs by source, FLOPs, bytes of a checkpoint.

    Example: train plan --mixture web --data data --model nano --tokens 1_000_000 --batch.windows 16

    Parameters
    ----------
    config
        YAML file that sets any of these options.
    json
        Print one JSON document.
    """
    _show_plan(settings, json)


@app.command
def verify(run: Path, *, data: Path | None = None, json: Flag = False) -> int:
    """Recompute a run's ledger from its settings and the shards; exit status 1 at the first difference.

    Example: train verify runs/web_only

    Parameters
    ----------
    run
        Run directory.
    data
        Folder of the token shards, if it is not where the settings of the run say.
    json
        Print one JSON document.
    """
    from train.run import settings_of
    from train.verify import verify as recompute

    with command.progress(settings_of(run).run_tokens, " tokens", "verify") as bar:
        verdict = recompute(run, data, bar.update)
    result = {"run": str(run), "steps": verdict.steps, "tokens": verdict.tokens, "difference": verdict.difference}
    command.emit(
        result, command.table([{"steps": verdict.steps, **verdict.tokens, "difference": verdict.difference}]), json
    )
    return int(verdict.difference is not None)


@app.command
def generate(
    run: Path,
    *,
    prompt: str,
    mode: Mode = "complete",
    max_new_tokens: int = 128,
    temperature: float | None = None,
    seed: int = 0,
    json: Flag = False,
) -> None:
    """Let the exported model of a run write.

    Example: train generate runs/web_only --mode qa --prompt "Why is the sky blue?"

    Parameters
    ----------
    run
        Run directory of a finished run.
    prompt
        Text to go on from.
    mode
        complete and code: the prompt as it is; qa: as a question with "Answer:"; chat: as what Alice says to Bob.
    max_new_tokens
        The most tokens to write.
    temperature
        Of sampling; without it the most probable token is taken each time.
    seed
        Of sampling.
    json
        Print one JSON document.
    """
    from train.generate import generate as write

    text = write(run, mode, prompt, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    command.emit({"run": str(run), "mode": mode, "prompt": prompt, "text": text}, text, json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return command.run(app, arguments)


def _show_plan(settings: TrainSettings, json: bool) -> None:
    from train.plan import plan as planned
    from train.plan import rounding

    result = planned(settings)
    whole = [{"of the run": name, "": value} for name, value in result.items() if isinstance(value, str | int)]
    command.note(rounding(settings))
    command.emit(result, f"{command.table(whole)}\n\n{command.table(result['sources'])}", json)
