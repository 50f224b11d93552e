"""The first stage: one input file becomes one table of documents, each measured or refused.

Everything that looks into a text runs in a child that can be killed (:mod:`filters.isolation`): extraction, language,
rules and tokenizer, all of which some page on the web can stall. The order is from cheap to dear, and the first step
that refuses a document ends its examination.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from common.settings import Settings
from filters.isolation import CrashedError, FailedError, Isolated, TooMuchMemoryError, TooSlowError
from filters.job import Language, Limits
from filters.personal_data import PersonalData, mask, masked_type
from filters.records import LOST, Record
from filters.verdict import Rejection

if TYPE_CHECKING:
    import pyarrow as pa

    from filters.rules.base import Rule
    from filters.urls import UrlRules

DOCUMENTS = "documents.parquet"
_GROUP_ROWS = 1000
_GROUP_BYTES = 32 << 20
_SOURCES = (
    *("scan.py", "streams.py", "http.py", "warc.py", "rows.py", "saved.py", "inputs.py", "records.py"),
    *("extract.py", "blocks.py", "block_features.py", "clutter.py", "clutter.safetensors"),
    *("language.py", "words.py", "english.py", "rules/*.py", "urls.py", "lists.py"),
    *("personal_data.py", "digits.py"),
)
_LIBRARIES = ("resiliparse", "trafilatura", "py3langid", "lxml", "numpy", "pyarrow", "datatrove", "tldextract")


class ScanSettings(Settings):
    """The part of a job that decides what a scan finds."""

    extract: Literal["resiliparse", "trafilatura", "auto", "none"]
    language: Language | None
    rules: tuple[dict[str, dict[str, Any]], ...]
    personal_data: PersonalData | None
    limits: Limits


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about a document; what comes after the step that refused it is not known."""

    text: str | None = None
    language: str | None = None
    language_probability: float | None = None
    token_count: int | None = None
    masked: Mapping[str, int] | None = None
    rejection: Rejection | None = None
    detail: str | None = None


class Examiner:
    """Address, extraction, language, rules, personal data and token count of one document at a time."""

    def __init__(self, settings: ScanSettings) -> None:
        from common.tokenizer import load_tokenizer

        self._settings = settings
        self._url_rules = url_rules_of(settings.rules)
        self._rules = rules_of(settings.rules)
        self._tokenizer = load_tokenizer()
        self._warm_up()

    def __call__(self, record: Record) -> Finding:
        """Examine a document. What is written of a text that is refused has its personal data masked too."""
        finding = _refused(record) if record.rejection else self._examine(record)
        if finding.rejection and finding.text and self._settings.personal_data is not None:
            text, masked = mask(finding.text, self._settings.personal_data.mask)
            finding = replace(finding, text=text, masked=masked)
        return finding

    def _examine(self, record: Record) -> Finding:
        if self._url_rules and (refused := self._url_rules.rejection(record.url)):
            return Finding(record.text, rejection=refused[0], detail=refused[1])
        text = record.text if record.html is None else self._extract(record.html, record.charset)
        if text is None:
            return Finding(rejection=Rejection("not_text", 0, 1), detail="a page, and extract is none")
        # a lone surrogate, as from a JSON escape, has no place in UTF-8 files
        text = text.encode("utf-8", "replace").decode("utf-8").strip()
        if not text:
            return Finding(text="", rejection=Rejection("empty_text", 0, 1))
        language, probability = None, None
        if self._settings.language is not None:
            from filters.language import identify

            language, probability = identify(text)
            if rejection := language_rejection(language, probability, self._settings.language):
                return Finding(text, language, probability, rejection=rejection, detail=language)
        from filters.rules import judge
        from filters.words import Words

        words, rejected = judge(self._rules, Words(text))
        if rejected is not None:
            return Finding(text, language, probability, rejection=rejected)  # whole, so that why can measure it
        kept, masked = words.text, None
        if self._settings.personal_data is not None:
            kept, masked = mask(words.text, self._settings.personal_data.mask)
        return Finding(kept, language, probability, self._tokenizer.count(kept), masked)

    def _extract(self, html: bytes, charset: str | None) -> str | None:
        if self._settings.extract == "none":
            return None
        from filters.extract import extract

        return extract(html, self._settings.extract, charset)

    def _warm_up(self) -> None:
        """Load every model and library now, so that a child that replaces a dead one begins warm."""
        self(Record(0, html=b"<html><body><p>The cat sat on the mat, and it was warm.</p></body></html>"))
        self(Record(0, text="The cat sat on the mat, and it was warm there, as the sun had shone on it all day."))


def _refused(record: Record) -> Finding:
    """A record that its reader refused."""
    return Finding(record.text, rejection=record.rejection, detail=record.detail)


def language_rejection(language: str, probability: float, settings: Language) -> Rejection | None:
    """Why a text is not kept for its language: an unwanted one counts as probability 0 of a wanted one."""
    if language not in settings.keep:
        return Rejection("language", 0.0, settings.min_probability)
    if probability < settings.min_probability:
        return Rejection("language_unsure", probability, settings.min_probability)
    return None


def rules_of(entries: tuple[dict[str, dict[str, Any]], ...]) -> list[Rule[Any]]:
    """The rule sets for texts that a job names, in order."""
    from filters.rules import make_rule

    return [make_rule(name, bounds) for entry in entries for name, bounds in entry.items() if name != "url"]


def url_rules_of(entries: tuple[dict[str, dict[str, Any]], ...]) -> UrlRules | None:
    """The rules for addresses, if a job names them."""
    from filters.urls import UrlRules, UrlSettings

    settings = next((entry["url"] for entry in entries if "url" in entry), None)
    return None if settings is None else UrlRules(UrlSettings.parse(settings, where="rules.url"))


def program() -> dict[str, Any]:
    """What of the program decides the result of a scan: our own sources, the libraries and the tokenizer."""
    from common.tokenizer import load_tokenizer
    from filters.program import libraries, sources

    return {
        "sources": sources(*_SOURCES),
        "libraries": libraries(*_LIBRARIES),
        "tokenizer": load_tokenizer().digest,
    }


def scan_file(values: Mapping[str, Any], folder: Path, advance: Callable[[int], None]) -> None:
    """Scan one input file into ``folder/documents.parquet`` (work of a unit; see :mod:`filters.executors`)."""
    from filters.inputs import read_records, restore

    settings = ScanSettings.parse(values["settings"])
    with isolated_examiner(settings) as examine:
        records = read_records(restore(values["file"]), settings.limits.document_bytes, advance)
        write_documents(folder / DOCUMENTS, records, examine, settings.limits)


def isolated_examiner(settings: ScanSettings) -> Isolated[Record, Finding]:
    """An examiner in a child that the limits of the job hold."""
    return Isolated(Examiner(settings), settings.limits.document_seconds, settings.limits.document_memory_bytes)


def write_documents(
    path: Path, records: Iterable[Record], examine: Callable[[Record], Finding], limits: Limits
) -> None:
    """Examine records one after the other, and write a row for each."""
    with _Table(path) as table:
        for record in records:
            table.add(record, examined(examine, record, limits))


def examined(examine: Callable[[Record], Finding], record: Record, limits: Limits) -> Finding:
    """What the examiner finds, or which limit the document passed."""
    if record.rejection and not record.text:
        return _refused(record)
    try:
        return examine(record)
    except TooSlowError:
        return Finding(rejection=Rejection(f"{LOST}too_slow", limits.document_seconds, limits.document_seconds))
    except TooMuchMemoryError:
        allowed = limits.document_memory_bytes
        return Finding(rejection=Rejection(f"{LOST}too_much_memory", allowed, allowed))
    except CrashedError as error:
        return Finding(rejection=Rejection(f"{LOST}crashed", 1, 0), detail=str(error))
    except FailedError as error:  # a page that no library foresaw: counted and kept aside, and the job goes on
        return Finding(rejection=Rejection(f"{LOST}error", 1, 0), detail=str(error))


def id_hash(own_id: str) -> int:
    """64 bits of an id, to find ids that stand twice without holding them all."""
    return int.from_bytes(hashlib.blake2b(own_id.encode("utf-8", "replace"), digest_size=8).digest(), "little")


def text_hash(text: str) -> bytes:
    """128 bits of a text: equal for exact duplicates only."""
    return hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest()


def schema() -> pa.Schema:
    """Columns of ``documents.parquet``."""
    import pyarrow as pa

    return pa.schema(
        {
            "own_id": pa.string(),
            "id_hash": pa.uint64(),
            "url": pa.string(),
            "source_offset": pa.int64(),
            "text": pa.large_string(),
            "text_hash": pa.binary(16),
            "token_count": pa.int64(),
            "masked": masked_type(),
            "language": pa.string(),
            "language_probability": pa.float32(),
            "reason": pa.string(),
            "value": pa.float64(),
            "limit": pa.float64(),
            "detail": pa.string(),
        }
    )


class _Table:
    """Writes rows in groups, so that memory does not grow with the file."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._schema = schema()
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0

    def add(self, record: Record, finding: Finding) -> None:
        kept, rejection = finding.rejection is None, finding.rejection
        self._rows.append(
            {
                "own_id": clean(record.id),
                "id_hash": None if record.id is None else id_hash(record.id),
                "url": clean(record.url),
                "source_offset": record.offset,
                "text": clean(finding.text),
                "text_hash": text_hash(finding.text) if kept and finding.text else None,
                "token_count": finding.token_count,
                "masked": finding.masked,
                "language": finding.language,
                "language_probability": finding.language_probability,
                "reason": rejection.reason if rejection else None,
                "value": rejection.value if rejection else None,
                "limit": rejection.limit if rejection else None,
                "detail": clean(finding.detail),
            }
        )
        self._bytes += len(finding.text or "")
        if len(self._rows) >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0


def clean(text: str | None) -> str | None:
    """What of a string a table can hold: a lone surrogate becomes a question mark."""
    return text if text is None else text.encode("utf-8", "replace").decode("utf-8")
