"""The command ``mixtures``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from common import command
from mixtures.settings import TokenizeSettings

app = App(
    name="mixtures",
    help="Turn corpora into token shards and blend them in exact proportions.\n\n"
    "Example: mixtures tokenize corpora/web --out data/web; "
    "mixtures show web_only --data data --tokens 10000000",
)

DEFAULTS = TokenizeSettings()
Flag = Annotated[bool, Parameter(negative=())]


@app.command
def tokenize(
    corpus: str,
    *,
    out: Path,
    settings: Annotated[TokenizeSettings, Parameter(name="*")] = DEFAULTS,
    dry_run: Flag = False,
    json: Flag = False,
) -> None:
    """Turn a corpus into token shards, once a document; a killed run continues, a finished one does nothing.

    Example: mixtures tokenize corpora/web --out data/web

    Parameters
    ----------
    corpus
        Corpus directory of filters run; or JSONL or Parquet: file, folder, glob, URL; or a folder, with --text-files.
    out
        Folder to write; its name is the name of the source in a mixture: web, code, synthetic.
    dry_run
        Say what would be read and written, and stop.
    json
        Print one JSON document.
    """
    from mixtures import tokenize as work

    plan = work.plan(corpus, out, settings)
    inputs = sum(len(unit.files) for unit in plan.units)
    if dry_run:
        result = {"out": str(out), "files": inputs, "bytes": plan.size_bytes, "key": plan.key, "done": plan.is_done}
        state = "already there, nothing to do" if plan.is_done else "to be written"
        command.emit(result, f"{out}: {inputs:,} input files of {plan.size_bytes:,} bytes, {state}", json)
        return
    if plan.is_done:
        command.note(f"{out} is already there, made from the same documents with the same settings: nothing to do")
        manifest = work.tokenize(corpus, out, settings, plan)
    else:
        with command.progress(plan.expected_tokens, " tokens", f"tokenize {out.name}") as bar:
            manifest = work.tokenize(corpus, out, settings, plan, bar.update)
    row = {
        "source": out.name,
        "documents": manifest["documents"],
        "tokens": manifest["tokens"],
        "held_out_documents": manifest["held_out"]["documents"],
        "skipped": sum(manifest["skipped"].values()),
    }
    if not row["held_out_documents"]:
        command.note(
            f"no document of {row['documents']:,} was held out, so that evals cannot measure this source; "
            "raise --held-out-fraction"
        )
    command.emit(manifest, command.table([row]), json)


@app.command
def show(
    mixture: str,
    *,
    data: Path,
    tokens: int,
    context_length: int = 2048,
    seed: int = 0,
    json: Flag = False,
) -> None:
    """Show what a run would take from each source, and in each stage of a schedule: tokens, windows, epochs, repeats.

    Warns above four repeats; refuses a run that repeats a source more often than the mixture allows.

    Example: mixtures show web_only --data data --tokens 150_000_000_000

    Parameters
    ----------
    mixture
        phi_1_5, web_only, web, or a YAML file.
    data
        Folder that holds a folder of token shards for each source.
    tokens
        Length of the run in predicted tokens; whole windows of the context length are counted.
    context_length
        Predicted tokens a window.
    seed
        Seed of the order.
    json
        Print one JSON document.
    """
    from mixtures.report import shown_use

    result = shown_use(mixture, data, tokens, context_length, seed)
    for warning in result["warnings"]:
        command.note(warning)
    tables = [command.table(rows) for rows in (result["sources"], result["stages"]) if rows]
    command.emit(result, "\n\n".join(tables), json)


@app.command
def verify(mixture: str, *, data: Path, json: Flag = False) -> int:
    """Check every shard of a mixture: sha256, document ends, token ids, tokenizer. Exit status 1 if one is damaged.

    Example: mixtures verify web_only --data data

    Parameters
    ----------
    mixture
        phi_1_5, web_only, web, or a YAML file.
    data
        Folder that holds a folder of token shards for each source.
    json
        Print one JSON document.
    """
    from mixtures.report import verdicts

    rows = list(verdicts(mixture, data))
    command.emit({"sources": rows}, command.table(rows), json)
    return int(any(row["problem"] for row in rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return command.run(app, arguments)
