"""The command ``filters``: from a raw crawl to a corpus of an exact token budget."""

from __future__ import annotations

from collections.abc import Sequence

from cyclopts import App

from common import command

app = App(name="filters", help="Turn a raw crawl into a corpus of an exact token budget, by educational value.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return command.run(app, arguments)


@app.command
def run(job: str, *, json: bool = False) -> int:
    """Make the corpus that JOB.yaml describes."""
    from filters.job import Job
    from filters.stages import run as run_job
    m = run_job(Job.load(job))
    command.emit(m, str({k: v for k, v in m.items() if k not in ('settings','inputs','digests')}), json)
    return 0
