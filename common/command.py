"""The command wrapper: parse, call, report; one-line errors and exit codes.

stdout is for results (a table for people, one JSON document with ``--json``), stderr for progress and problems.
Exit 0: done. 1: the answer is no (a gate, a failed verification). 2: bad input.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from common.errors import EduSieveError
from common.settings import explain, read_yaml

if TYPE_CHECKING:
    from cyclopts import App
    from tqdm import tqdm

LINE_S = 60.0
"""Between two lines of a progress bar in a log."""
# tqdm's own lock is also a semaphore that forks share: one that is killed while it draws would keep it for ever
_DRAWING = threading.RLock()


def run(app: App, arguments: Sequence[str] | None = None) -> int:
    """Run a command line and give its exit status: what the command returned, or 0; 2 after an error of the family.

    ``--config FILE.yaml`` gives any option of the command from a file; the command line wins over the file.
    A console script passes the result to ``sys.exit``. Errors outside the family are bugs and keep their traceback.
    """
    from cyclopts import CycloptsError

    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        _read_docstrings_only()
        app.config = _config_file(words)
        app.suppress_keyboard_interrupt = False  # cyclopts would leave in silence; we say so below
        status = app(
            words,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
    except (CycloptsError, EduSieveError) as error:
        print(f"{app.name[0]}: {_one_line(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader (head, less) went away: not an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print(f"{app.name[0]}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    return status if isinstance(status, int) else 0


def emit(result: Mapping[str, Any], text: str, as_json: bool) -> None:
    """Print a result: ``text`` for people, or ``result`` as one JSON document for machines."""
    print(json.dumps(result, indent=2, ensure_ascii=False) if as_json else text)


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as an aligned text table: numbers to the right, words to the left, floats with four digits."""
    listed = list(rows)
    names = list(columns or (listed[0] if listed else []))
    cells = [[_cell(row.get(name)) for name in names] for row in listed]
    widths = [max([len(name), *(len(line[i]) for line in cells)]) for i, name in enumerate(names)]
    numeric = [any(isinstance(row.get(name), int | float) for row in listed) for name in names]

    def line(parts: Sequence[str]) -> str:
        aligned = (p.rjust(w) if n else p.ljust(w) for p, w, n in zip(parts, widths, numeric, strict=True))
        return "  ".join(aligned).rstrip()

    return "\n".join([line(names), line(["-" * width for width in widths]), *map(line, cells)])


def progress(total: float | None, unit: str, description: str, initial: float = 0) -> tqdm[Any]:
    """A progress bar on stderr with rate and time left; where there is nothing to do, none.

    Off a terminal, as in a log, it is a line a minute and a last one: work that takes less than a minute writes none.
    """
    from tqdm import tqdm

    tqdm.set_lock(_DRAWING)
    place: dict[str, Any] = {"file": _Lines(sys.stderr), "delay": LINE_S, "mininterval": LINE_S, "maxinterval": LINE_S}
    if sys.stderr.isatty():
        place = {"file": sys.stderr, "dynamic_ncols": True}
    return tqdm(total=total, initial=initial, unit=unit, desc=description, unit_scale=True, disable=total == 0, **place)


class _Lines:
    """A stream on which every state of a progress bar is a line, not one drawn over the last."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if line := text.strip():
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        self._stream.flush()


def note(message: str) -> None:
    """One line to the person at the terminal, on stderr."""
    print(message, file=sys.stderr, flush=True)


def _read_docstrings_only() -> None:
    """Keep cyclopts from parsing the source of every base class of a settings model, pydantic's among them.

    It looks for docstrings of attributes; ours are described in their Fields. It is a third of the time of ``--help``.
    """
    import docstring_parser

    docstring_parser.parse_from_object = lambda thing, *_: docstring_parser.parse(thing.__doc__)


def _config_file(words: Sequence[str]) -> tuple[Any, ...]:
    from cyclopts.config import Dict

    for place, word in enumerate(words):
        name, _, value = word.partition("=")
        if name == "--config":
            path = value or next(iter(words[place + 1 :]), "")
            return (Dict(read_yaml(path), use_commands_as_keys=False, source=path),)
        if word == "--":
            break
    return ()


def _one_line(error: Exception) -> str:
    from pydantic import BaseModel, ValidationError

    cause = error.__cause__
    message = str(error)
    # one of the family has explained its cause already, with the file and what was probably meant
    if isinstance(cause, ValidationError) and not isinstance(error, EduSieveError):
        message = explain(cause, BaseModel)
    return " ".join(message.split())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)
