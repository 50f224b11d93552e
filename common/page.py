"""Report pages: one self-contained HTML file that opens offline, on a phone and in the dark.

Text from the web is hostile. Every string is escaped by markupsafe unless it is a :class:`Markup` made here, and the
page forbids scripts and any connection by its content security policy, so that an escaped page stays inert twice over.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup, escape

from common.files import publish_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_SAMPLE_CHARACTERS = 1_200
"""A quoted document is cut here, so that one page cannot swell the report."""

MAX_CELL_CHARACTERS = 400
"""A table cell and the line above a quoted document are cut here: an address may have a million characters."""

MAX_UNBROKEN_CHARACTERS = 28
"""A table cell that is no longer than this stays on one line."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fcfcfa; --soft: #5d6774; --line: #d9dde2; --box: #f2f3f0;
  --accent: #1a6b72 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --paper: #14181d; --soft: #9aa4af; --line: #333b44; --box: #1d232a; --accent: #5cc2ca } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 62rem; padding: 1.2rem; font: 16px/1.55 system-ui, sans-serif; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .4rem 0 }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem }
.lead, figcaption, .note { color: var(--soft) }
.note, figcaption { font-size: .9rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; margin: .6rem 0 }
th, td { text-align: left; padding: .28rem .8rem .28rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600; color: var(--soft); overflow-wrap: normal }
td { min-width: 4rem }
th.n, td.n { text-align: right }
td.n, td.s { white-space: nowrap }
tr.soft td { color: var(--soft); opacity: .75 }
figure { margin: 1rem 0 }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; border: 1px solid var(--line) }
.facts { display: flex; flex-wrap: wrap; gap: .6rem; padding: 0; margin: 1rem 0; list-style: none }
.facts li { background: var(--box); border-radius: 8px; padding: .6rem .9rem; min-width: 8.5rem }
.facts b { display: block; font-size: 1.25rem; color: var(--accent) }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .6rem; margin: .6rem 0 }
.beside div { background: var(--box); border-radius: 8px; padding: .5rem .9rem }
a { color: var(--accent) }
details { background: var(--box); border-radius: 8px; padding: .5rem .9rem; margin: .5rem 0 }
summary { cursor: pointer }
pre { white-space: pre-wrap; font: 13px/1.5 ui-monospace, monospace; margin: .5rem 0 }
"""


class Page:
    """A report that is built from top to bottom. Every method takes plain text and escapes it."""

    def __init__(self, title: str, lead: str) -> None:
        self._title = title
        self._parts: list[Markup] = [Markup("<h1>{}</h1><p class=lead>{}</p>").format(title, lead)]

    def heading(self, text: str, level: int = 2) -> None:
        """A section (level 2) or a subsection (level 3)."""
        self._parts.append(Markup("<h{}>{}</h{}>").format(level, text, level))

    def paragraph(self, text: str, small: bool = False) -> None:
        """A paragraph; ``small`` for remarks."""
        self._parts.append(Markup("<p{}>{}</p>").format(Markup(" class=note") if small else "", text))

    def facts(self, facts: Iterable[tuple[str, Any]]) -> None:
        """The few numbers that a reader looks for first, as (label, value) boxes."""
        items = (Markup("<li><b>{}</b>{}</li>").format(_shown(value), label) for label, value in facts)
        self._parts.append(Markup("<ul class=facts>{}</ul>").format(Markup("").join(items)))

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Any]], soft: Collection[int] = ()) -> None:
        """A table; columns that hold numbers are set to the right, and the rows numbered in ``soft`` are greyed."""
        listed = [list(row) for row in rows]
        numeric = [any(isinstance(row[i], int | float) for row in listed) for i in range(len(header))]

        def line(tag: str, cells: Sequence[Any], is_soft: bool = False) -> Markup:
            return Markup("<tr{}>{}</tr>").format(
                Markup(" class=soft" if is_soft else ""),
                Markup("").join(
                    Markup("<{}{}>{}</{}>").format(Markup(tag), _class(cell, right), _shown(cell), Markup(tag))
                    for cell, right in zip(cells, numeric, strict=True)
                ),
            )

        body = Markup("").join(line("td", row, number in soft) for number, row in enumerate(listed))
        self._parts.append(Markup("<div class=scroll><table>{}{}</table></div>").format(line("th", header), body))

    def figure(self, draw: Callable[[Axes], None], caption: str, width: float = 8, height: float = 3.2) -> None:
        """A plot: ``draw`` gets matplotlib axes; width and height in inches."""
        picture = base64.b64encode(_draw_svg(draw, width, height)).decode("ascii")
        self._parts.append(
            Markup(
                '<figure><img alt="{}" src="data:image/svg+xml;base64,{}"><figcaption>{}</figcaption></figure>'
            ).format(caption, picture, caption)
        )

    def sample(self, summary: str, text: str) -> None:
        """A quoted text behind a line that opens on a click."""
        line, cut = _cut(summary, MAX_CELL_CHARACTERS), _cut(text, MAX_SAMPLE_CHARACTERS)
        self._parts.append(Markup("<details><summary>{}</summary><pre>{}</pre></details>").format(line, cut))

    def beside(self, texts: Iterable[tuple[str, str]]) -> None:
        """Quoted texts side by side, each under its label; on a narrow screen one below the other."""
        boxes = (
            Markup("<div><b>{}</b><pre>{}</pre></div>").format(
                _cut(label, MAX_CELL_CHARACTERS), _cut(text, MAX_SAMPLE_CHARACTERS)
            )
            for label, text in texts
        )
        self._parts.append(Markup("<div class=beside>{}</div>").format(Markup("").join(boxes)))

    def links(self, places: Iterable[tuple[str, Path]]) -> None:
        """A list of (label, relative path): a link names a place beside the page and no address on a network."""
        items = (Markup('<li><a href="./{}">{}</a></li>').format(quote(path.as_posix()), text) for text, path in places)
        self._parts.append(Markup("<ul>{}</ul>").format(Markup("").join(items)))

    def html(self) -> str:
        """The whole page."""
        return str(
            Markup(
                "<!doctype html><html lang=en><meta charset=utf-8>"
                '<meta name=viewport content="width=device-width,initial-scale=1">'
                '<meta http-equiv=Content-Security-Policy content="'
                "default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
                "<title>{}</title><style>{}</style><main>{}</main></html>\n"
            ).format(self._title, Markup(_STYLE), Markup("\n").join(self._parts))
        )

    def write(self, path: Path | str) -> None:
        """Publish the page at ``path``."""
        with publish_file(path) as temporary:
            # a lone surrogate can come out of a damaged page and has no UTF-8 form
            temporary.write_bytes(self.html().encode("utf-8", "replace"))


def _class(cell: Any, right: bool) -> Markup:
    """Numbers to the right; short words on one line, so that a narrow screen scrolls the table and breaks no word."""
    if right:
        return Markup(" class=n")
    return Markup(" class=s" if len(str(cell)) <= MAX_UNBROKEN_CHARACTERS else "")


def _shown(value: Any) -> Markup:
    if value is None:
        return Markup("–")
    if isinstance(value, bool):
        return Markup("yes" if value else "no")
    if isinstance(value, float):
        return escape(f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}")
    return escape(f"{value:,}" if isinstance(value, int) else _cut(str(value), MAX_CELL_CHARACTERS))


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[:characters] + " …"


def _draw_svg(draw: Callable[[Axes], None], width: float, height: float) -> bytes:
    import io

    import matplotlib

    with matplotlib.rc_context(
        {"svg.hashsalt": "edusieve", "font.size": 10, "axes.spines.top": False, "axes.spines.right": False}
    ):
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), layout="constrained")
        canvas = FigureCanvasSVG(figure)
        draw(figure.subplots())
        buffer = io.BytesIO()
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
        return buffer.getvalue()
