"""Who grades what: the settings of annotation, and the windows and annotators that they name.

A grading is one window, one model and one turn. The journal remembers it under (rubric, prompt, model, request, window,
turn), so it is asked for once, whatever the documents' ids, their order, or the server's address.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from classifiers.windows import Window, head
from common.documents import read_documents
from common.errors import InputError, SettingsError
from common.files import content_key
from common.settings import Settings

if TYPE_CHECKING:
    from classifiers.journal import Ledger, Problem

MALFORMED_TRIES = 3
"""So often a window is asked about while the replies are no grades."""
CARRIED = ("kind", "source", "split")
"""Columns of the documents that the labels keep."""


class Annotation(Settings):
    """Who grades, what, how fast, and for how much."""

    base_url: str = Field(description="address of the server, mostly ending in /v1; /chat/completions is added")
    model: tuple[str, ...] = Field(min_length=1, description="model that grades; repeat it for several annotators")
    gradings: PositiveInt = Field(default=1, description="turns: so often each model grades each window")
    temperature: NonNegativeFloat = Field(default=0.0, description="of the replies")
    max_reply_tokens: PositiveInt = Field(default=200, description="longest reply asked for, in the model's tokens")
    extra: str | None = Field(
        default=None,
        description="more fields of the request as a JSON object; null leaves out one that is sent otherwise",
    )
    characters: PositiveInt = Field(default=Window().characters, description="length of the window, in characters")
    sample: PositiveInt | None = Field(default=None, description="grade only so many documents, drawn by --seed")
    seed: int = Field(default=0, description="of the sample and of the pauses")
    concurrency: PositiveInt = Field(default=8, description="requests at a time")
    timeout_s: PositiveFloat = Field(default=120.0, description="limit for a whole request, in seconds")
    retries: NonNegativeInt = Field(default=6, description="so often a failed request is sent again, ever later")
    max_cost: PositiveFloat | None = Field(default=None, description="stop before the cost passes this, in USD")
    price_in: tuple[NonNegativeFloat, ...] = Field(
        default=(), description="USD per million tokens of prompt; one for all models, or one for each"
    )
    price_out: tuple[NonNegativeFloat, ...] = Field(
        default=(), description="USD per million tokens of reply; one for all models, or one for each"
    )
    api_key_env: str | None = Field(default=None, description="environment variable that holds the server's key")
    retry_failures: bool = Field(default=False, description="ask again about windows that failed in earlier runs")
    max_failed_fraction: float = Field(
        default=0.05, ge=0, le=1, description="exit with status 1 if more of the gradings failed"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.model)) < len(self.model):
            raise ValueError("--model names one model twice; for several gradings by it use --gradings")
        checked_url(self.base_url)
        request = self.request  # read now, so that a bad --extra is refused at once
        if self.gradings > 1 and request.get("temperature") == 0:
            raise ValueError(f"--gradings {self.gradings} at --temperature 0 would be copies; give a temperature above")
        for name, prices in (("--price-in", self.price_in), ("--price-out", self.price_out)):
            if len(prices) not in (0, 1, len(self.model)):
                raise ValueError(f"{name} must be given once or {len(self.model)} times, got {len(prices)}")
        if bool(self.price_in) != bool(self.price_out):
            raise ValueError("--price-in and --price-out belong together")
        if self.max_cost and not self.price_in:
            raise ValueError("--max-cost needs --price-in and --price-out")
        return self

    @cached_property
    def request(self) -> dict[str, Any]:
        """Fields of every request besides model, messages and reply length."""
        try:
            extra = json.loads(self.extra or "{}")
        except ValueError as error:
            raise ValueError(f"--extra is not valid JSON: {error}") from error
        if not isinstance(extra, dict) or {"model", "messages", "n", "stream"} & set(extra):
            raise ValueError("--extra must be a JSON object without model, messages, n and stream")
        return {"temperature": self.temperature} | extra

    @property
    def annotators(self) -> tuple[Annotator, ...]:
        """Every model and turn. The first turn bears the model's name, so that more turns rename nothing."""
        turns = range(1, self.gradings + 1)
        return tuple(Annotator(m if turn == 1 else f"{m}#{turn}", m, turn) for m in self.model for turn in turns)


class Annotator(NamedTuple):
    """One column of gradings."""

    name: str
    model: str
    turn: int


class Extract(NamedTuple):
    """The window of one document."""

    id: str
    text: str
    sha256: str
    carried: dict[str, Any]

    @property
    def identity(self) -> bytes:
        return hashlib.blake2b(f"{self.sha256}\0{self.id}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True)
class Plan:
    """What there is to grade, before any of it is."""

    source: str
    settings: Annotation
    documents: int
    empty: int
    chosen: frozenset[bytes] | None
    """Identities of the sample; None: all."""

    def extracts(self) -> Iterator[Extract]:
        """The windows to grade in the order of the input, each once."""
        seen: set[bytes] = set()
        for extract in _extracts(self.source, self.settings.characters):
            identity = extract.identity
            if extract.text.strip() and identity not in seen and (self.chosen is None or identity in self.chosen):
                seen.add(identity)
                yield extract

    def key(self, extract: Extract, annotator: Annotator) -> str:
        """What the journal remembers a grading under."""
        from classifiers.prompt import PROMPT_SHA256
        from classifiers.rubric import RUBRIC_SHA256

        who = [annotator.model, self.settings.request, annotator.turn]
        return content_key("grading", RUBRIC_SHA256, PROMPT_SHA256, *who, extract.sha256)

    def pending(self, ledger: Ledger) -> Iterator[tuple[str, Extract, Annotator]]:
        """The gradings that the journal does not hold, each once, with their keys."""
        started: set[str] = set()
        for extract in self.extracts():
            for annotator in self.settings.annotators:
                key = self.key(extract, annotator)
                known = key in ledger.grades or (
                    not self.settings.retry_failures and failed(ledger.problems.get(key, ()))
                )
                if not known and key not in started:
                    started.add(key)
                    yield key, extract, annotator


def checked_url(base_url: str) -> str:
    """``base_url`` without a slash at its end.

    Raises:
        SettingsError: if it is no http(s) address, or carries a user, a query or a fragment.
    """
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise SettingsError(f"--base-url must be like http://localhost:8000/v1, got {base_url!r:.100}")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError("--base-url must not carry a user, a query or a fragment; name the key with --api-key-env")
    return base_url.rstrip("/")


def failed(problems: Sequence[Problem]) -> bool:
    """Whether a window is given up after these problems."""
    return bool(problems) and (problems[-1].final or len(problems) >= MALFORMED_TRIES)


def make_plan(source: str, settings: Annotation) -> Plan:
    """Read the input once: count it, and draw the sample.

    The sample is of documents with text, by a keyed hash of window and id: it does not depend on the input's order.

    Raises:
        InputError: if there is nothing to grade.
    """
    documents = empty = 0

    def keyed() -> Iterator[tuple[bytes, bytes]]:
        nonlocal documents, empty
        for extract in _extracts(source, settings.characters):
            documents += 1
            if extract.text.strip():
                identity = extract.identity
                yield hashlib.blake2b(identity, key=str(settings.seed).encode()).digest(), identity
            else:
                empty += 1

    if settings.sample is None:
        chosen, some = None, sum(1 for _ in keyed()) > 0
    else:
        # a document may stand twice in the input; equal hashes are one document
        drawn = dict(heapq.nsmallest(settings.sample, set(keyed())))
        chosen, some = frozenset(drawn.values()), bool(drawn)
    if not some:
        raise InputError(f"{source} holds no text to grade ({documents} documents, {empty} of them empty)")
    return Plan(source, settings, documents, empty, chosen)


def _extracts(source: str, characters: int) -> Iterator[Extract]:
    window = Window(characters=characters)
    for row in read_documents(source):
        if not isinstance(row["text"], str):
            raise InputError(f"document {row['id']}: text must be a string, got {type(row['text']).__name__}")
        text = head(row["text"], window)
        carried = {name: None if row.get(name) is None else str(row[name]) for name in CARRIED}
        yield Extract(str(row["id"]), text, hashlib.sha256(text.encode()).hexdigest(), carried)
