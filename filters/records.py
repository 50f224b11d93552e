"""What a reader finds in a crawl: one record for every document, and one for every stretch that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass

from filters.verdict import Rejection

LOST = "lost_"
"""Reasons that begin so are losses: nobody decided to drop the document. ``max_lost_fraction`` counts them."""

LOST_DAMAGED = f"{LOST}damaged"
LOST_MALFORMED = f"{LOST}malformed"
LOST_UNREADABLE = f"{LOST}unreadable_body"
TOO_LARGE = "document_too_large"


@dataclass(frozen=True, slots=True)
class Record:
    """One document as it lies in a file, or one damaged stretch.

    Attributes:
        offset: where it lies: bytes to seek to (WARC: the compressed member), or the row (JSONL, Parquet).
        id: the name it brought along.
        html: a page to extract text from.
        charset: of ``html``, where the server named one.
        text: text that needs no extraction; or what there is of a record that is refused.
        rejection: why it is not a document, known without looking into its text.
        detail: the message or type behind the rejection.
    """

    offset: int
    id: str | None = None
    url: str | None = None
    html: bytes | None = None
    charset: str | None = None
    text: str | None = None
    rejection: Rejection | None = None
    detail: str | None = None
