"""The same words in another dress: what a page's make-up does to a text, and what must not change its score.

A grade is given for what a text says. Site templates, markup and extraction leave their marks on it all the same, and a
classifier that has learned these marks keeps the wrong pages. Each style here changes the dress and not the words; how
far a score moves is measured in ``classifiers.robustness``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, cycle

BASE_SHARE = 2 / 3
"""Styles are put on this share of a window's beginning, so that what they add pushes no words out of the window."""

NAVIGATION = (
    "Skip to main content\nHome | About us | Products | Blog | Contact\nLog in or register\n"
    "You are here: Home > Archive > Page 12\nShare on Facebook · Tweet · Print this page\n\n"
)
FOOTER = (
    "\n\nLeave a comment (0)\nRelated posts: More from this section\nSubscribe to our newsletter\n"
    "We use cookies to improve your experience. Privacy policy | Terms of use\n"
    "Copyright 2026. All rights reserved. Back to top"
)


@dataclass(frozen=True)
class Style:
    """One change of dress."""

    name: str
    says: str  # what is done to a text, for tables
    wear: Callable[[str], str]


def base(text: str, characters: int) -> str:
    """The beginning of ``text`` that styles are put on, up to the end of a word.

    >>> base("one two three", 9)
    'one'
    """
    room = int(BASE_SHARE * characters)
    if len(text) <= room:
        return text
    whole_words = re.match(rf"(?s).{{0,{room}}}(?=\s)", text)
    return whole_words[0] if whole_words else text[:room]


def wiki(text: str) -> str:
    """Wiki source: a heading, the first word in bold, links on names, numbered references.

    >>> wiki("Rain falls. It feeds the river Rhine.")
    "== Overview ==\\n'''Rain''' falls.[1] It feeds the river [[Rhine]]."
    """
    number = count(1)
    text = re.sub(r"(?<=[a-z,] )[A-Z][a-z]{3,}", r"[[\g<0>]]", text)
    text = re.sub(r"(?<=[a-z])\.(?=\s)", lambda _: f".[{next(number)}]", text)
    return "== Overview ==\n" + re.sub(r"\w+", r"'''\g<0>'''", text, count=1)


def markdown(text: str) -> str:
    """Markdown: a heading, list marks before the paragraphs, names in bold.

    >>> markdown("Rain falls.\\nIt feeds the river Rhine.")
    '# Overview\\n\\n- Rain falls.\\n- It feeds the river **Rhine**.'
    """
    text = re.sub(r"(?<=[a-z,] )[A-Z][a-z]{3,}", r"**\g<0>**", text)
    return "# Overview\n\n" + re.sub(r"(?m)^(?=\s*\S)", "- ", text)


def typographic(text: str) -> str:
    """Signs as a typesetter has them: curly quotes, dashes, ellipses, ligatures, hard spaces.

    >>> typographic("\\"It's fine\\" - really...")
    '“It’s ﬁne” — really…'
    """
    marks = cycle("“”")
    text = re.sub('"', lambda _: next(marks), text).replace("'", "’").replace("...", "…").replace(" - ", " — ")
    return text.replace("fi", "ﬁ").replace("fl", "ﬂ").replace(". ", ".\N{NO-BREAK SPACE}")


def repeated(text: str) -> str:
    """Made longer by half with its own words."""
    return f"{text}\n\n{text[: len(text) // 2 - 2]}"


def one_line(text: str) -> str:
    """Without line breaks."""
    return " ".join(text.split())


STYLES = (
    Style("wiki", "wiki source: heading, links, references", wiki),
    Style("markdown", "Markdown: heading, list marks, bold", markdown),
    Style("navigation", "a site's menu before it", lambda text: NAVIGATION + text),
    Style("footer", "cookie notice and footer after it", lambda text: text + FOOTER),
    Style("padded", "longer by half with its own words", repeated),
    Style("upper", "UPPER CASE", str.upper),
    Style("lower", "lower case", str.lower),
    Style("one_line", "line breaks lost", one_line),
    Style("typographic", "curly quotes, dashes, ligatures, hard spaces", typographic),
)
