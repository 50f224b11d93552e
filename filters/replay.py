"""A document made again from the bytes of the crawl: the file is sought where the row says, and the same steps run.

Everything that hangs on the document itself is done again and compared: what is read, the text, every measurement, the
score, and for a copy also the document that stayed for it. What takes the whole job to find is not: the threshold is
the corpus's own, and so are the choice among documents that share it and the eval items in a document.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import read_json
from common.tokenizer import load_tokenizer
from filters.clusters import REASONS as COPIES
from filters.corpus import WORK, read_corpus_manifest
from filters.decisions import FIRST_STAGE, REASONS
from filters.inputs import InputFile, input_files, located, read_records
from filters.job import MinHash
from filters.provenance import eval_items, is_part, measured, rows_named, threshold_of
from filters.records import Record
from filters.scan import Finding, ScanSettings, clean, examined, isolated_examiner, program

INPUTS = "inputs.json"
_MISSING = "no such record"
_SHORT = 40


@dataclass(frozen=True)
class Check:
    """One thing that was made again: as the corpus has it, and as it is now."""

    what: str
    then: Any
    now: Any

    @property
    def same(self) -> bool:
        """Whether nothing has changed."""
        return bool(self.then == self.now)


@dataclass(frozen=True)
class Replay:
    """What came out for one document.

    Attributes:
        document: its id.
        place: file and offset.
        checks: in the order in which things are made.
        basis: what the decision was compared with, in words.
    """

    document: str
    place: str
    checks: Sequence[Check]
    basis: str

    @property
    def difference(self) -> Check | None:
        """The first."""
        return next((check for check in self.checks if not check.same), None)

    def as_values(self) -> dict[str, Any]:
        """All of it as JSON values."""
        rows = [{"what": one.what, "then": one.then, "now": one.now, "same": one.same} for one in self.checks]
        return {"id": self.document, "place": self.place, "same": self.difference is None, "basis": self.basis} | {
            "checks": rows
        }


def replay(corpus: Path, name: str, source: Sequence[str] = (), classifier: str = "default") -> list[Replay]:
    """Make every document of a corpus anew whose id or URL is ``name``.

    Args:
        corpus: a corpus directory.
        name: id or URL of a document that the job read.
        source: where the input lies, as in a job; nothing: where it lay when the corpus was made.
        classifier: "default" or the directory of the classifier that the job used.
    Raises:
        InputError: if there is no such document, or its input is not found.
    """
    manifest = read_corpus_manifest(corpus)
    rows = list(rows_named(corpus, manifest, name))
    if not rows:
        raise InputError(f"{corpus} read no document with the id or URL {name!r}")
    with _Replayer(corpus, manifest, source, classifier) as replayer:
        return [replayer.replay(row) for row in rows]


class _Replayer:
    """Reads and examines documents of one corpus with its settings."""

    def __init__(self, corpus: Path, manifest: Mapping[str, Any], source: Sequence[str], classifier: str) -> None:
        self._corpus, self._manifest, self._source, self._classifier = corpus, manifest, source, classifier
        settings = manifest["settings"]
        self._settings = ScanSettings.parse({key: settings[key] for key in ScanSettings.model_fields})
        self._examine = isolated_examiner(self._settings)

    def __enter__(self) -> _Replayer:
        return self

    def __exit__(self, *_: object) -> None:
        self._examine.close()

    def replay(self, row: Mapping[str, Any]) -> Replay:
        """One document."""
        basis: list[str] = []
        place = f"{row['source_file']}, offset {row['source_offset']:,}"
        return Replay(row["id"], place, list(self._checks(row, basis.append)), "; ".join(basis))

    def _checks(self, row: Mapping[str, Any], note: Callable[[str], None]) -> Iterator[Check]:
        entry, file = self._file_of(row)
        yield Check("bytes of the file", entry["bytes"], file.size)
        yield from (_check(name, self._manifest["digests"].get(name), now) for name, now in program().items())
        record = self._read(file, row)
        yield Check("record", row["id"], row["id"] if record else _MISSING)
        if record is None:
            return
        finding = self._cut(row, self._examined(record), note)
        yield Check("url", row["url"], clean(record.url))
        yield _check("text", row["text"], clean(finding.text))
        for name in ("language", "language_probability", "token_count"):
            yield Check(name, row[name], _single(getattr(finding, name)))
        yield _check("masked", _counted(row["masked"]), _counted(finding.masked))
        rules = self._settings.rules
        yield _check("measurements", measured(row, rules), measured({"text": finding.text}, rules))
        if row["reason"] not in REASONS:
            yield from _refusal(row, finding)
            return
        yield Check("refused by a step", None, finding.rejection and finding.rejection.reason)
        if row["reason"] in COPIES:
            yield from self._copy(row, finding, note)
        elif row["score"] is not None:
            yield from self._score(row, finding, note)

    def _cut(self, row: Mapping[str, Any], finding: Finding, note: Callable[[str], None]) -> Finding:
        """Without the lines that decontamination cut: those that the corpus lacks, if it has the others in order."""
        items = eval_items(self._corpus, row["id"])
        if items:
            note("its eval items as the corpus has them")
        if not any(item["action"] == "span" for item in items):
            return finding
        lines = iter((clean(finding.text) or "").splitlines())
        if not all(any(kept.strip() == line.strip() for line in lines) for kept in row["text"].splitlines()):
            return finding
        return dataclasses.replace(finding, text=row["text"], token_count=load_tokenizer().count(row["text"]))

    def _file_of(self, row: Mapping[str, Any]) -> tuple[Mapping[str, Any], InputFile]:
        entry = next(one for one in self._manifest["inputs"] if one["name"] == row["source_file"])
        return entry, _locate(self._corpus, entry, self._source)

    def _read(self, file: InputFile, row: Mapping[str, Any]) -> Record | None:
        """The record of a row. Records that were packed into one member have one offset: the id tells them apart."""
        offset, limit = row["source_offset"], self._settings.limits.document_bytes
        name, _, number = row["id"].rpartition("#")  # an id may stand for the place among the rows of the file
        by_place = name == row["source_file"] and number.isdigit()
        place = int(number) - self._rows_before(row) if by_place else None
        records = read_records(file, limit, lambda _: None, start=offset)
        for count, record in enumerate(takewhile(lambda one: one.offset == offset, records)):
            if count == place or clean(record.id) == row["id"]:
                return record
        return None

    def _rows_before(self, row: Mapping[str, Any]) -> int:
        """Rows of the same file at lower offsets."""
        import pyarrow.dataset as ds

        parts = [str(self._corpus / entry["path"]) for entry in self._manifest["files"] if is_part(entry["path"])]
        before = (ds.field("source_file") == row["source_file"]) & (ds.field("source_offset") < row["source_offset"])
        return int(ds.dataset(parts).count_rows(filter=before))

    def _examined(self, record: Record) -> Finding:
        return examined(self._examine, record, self._settings.limits)

    def _score(self, row: Mapping[str, Any], finding: Finding, note: Callable[[str], None]) -> Iterator[Check]:
        from filters.educational import load_scorer

        scorer, texts = load_scorer(self._classifier), [finding.text or ""]
        yield Check("classifier", self._manifest["digests"]["classifier"], scorer.digest)
        first_stage = scorer.cascade if row["scored_by"] == FIRST_STAGE else None
        if first_stage is not None:
            yield Check("first stage", self._manifest["cascade"]["first_stage"], first_stage.digest)
        score = float((first_stage or scorer).score(texts)[0])
        yield Check("score", row["score"], score)
        threshold, least = threshold_of(self._manifest, row), self._manifest["min_score"]
        note(f"threshold {threshold} and min_score {least}, as the corpus has them")
        if least is not None and score < _single(least):
            now = "below_min_score"
        elif threshold is None or score < threshold:
            now = "below_threshold"
        elif score == threshold and row["reason"] == "tie_at_threshold":
            now = "tie_at_threshold"  # among equals only the whole job can tell
        else:
            now = "kept"
        yield Check("decision", row["reason"] or "kept", now)

    def _copy(self, row: Mapping[str, Any], finding: Finding, note: Callable[[str], None]) -> Iterator[Check]:
        """Make the document that stayed anew too, and compare the two."""
        note(f"compared with {row['detail']}, which stayed")
        others = rows_named(self._corpus, self._manifest, row["detail"])
        stayed = next((one for one in others if one["id"] == row["detail"]), None)
        record = self._read(self._file_of(stayed)[1], stayed) if stayed else None
        yield Check("the document that stayed", row["detail"], row["detail"] if record else _MISSING)
        if record is None:
            return
        text, other = finding.text or "", self._examined(record).text or ""
        if row["reason"] == "exact_duplicate":
            yield _check("its text", text, other)
        else:
            minhash = MinHash.parse(self._manifest["settings"]["deduplicate"]["minhash"])
            yield Check("similarity", row["value"], _similarity(text, other, minhash))


def _refusal(row: Mapping[str, Any], finding: Finding) -> Iterator[Check]:
    """What a step of the scan measured where it refused the document."""
    found = finding.rejection
    yield Check("reason", row["reason"], found and found.reason)
    yield Check("value", row["value"], found and found.value)
    yield Check("limit", row["limit"], found and found.limit)
    yield Check("detail", row["detail"], clean(finding.detail))


def _check(what: str, then: Any, now: Any) -> Check:
    """A check of something long: how much there is if it is the same, else where it first differs."""
    if isinstance(then, str) and isinstance(now, str) and len(then) > _SHORT:
        if then == now:
            return Check(what, *[f"{len(then):,} characters"] * 2)
        place = next((n for n, (a, b) in enumerate(zip(then, now, strict=False)) if a != b), min(len(then), len(now)))
        return Check(what, *(f"from character {place:,}: {one[place : place + _SHORT]!r}" for one in (then, now)))
    if isinstance(then, dict) and isinstance(now, dict):
        if then == now:
            return Check(what, *[f"{len(then)} values"] * 2)
        name = next(name for name in {**then, **now} if then.get(name) != now.get(name))
        return Check(what, *(f"{name}: {one.get(name)}" for one in (then, now)))
    return Check(what, then, now)


def _locate(corpus: Path, entry: Mapping[str, Any], source: Sequence[str]) -> InputFile:
    """The input file of a manifest's entry.

    Raises:
        InputError: if it is not found, saying how to name it.
    """
    name = entry["name"]
    if source:
        files = input_files(list(source))
        named = [file for file in files if file.name == name]
        named = named or [file for file in files if posixpath.basename(file.path) == posixpath.basename(name)]
        if len(named) != 1:
            raise InputError(f"--input {' '.join(source)} holds {len(named)} files of the name {name}; name the file")
        return named[0]
    for work in (corpus / WORK, corpus.resolve().parent / WORK):  # of a job with several budgets: above the corpus
        known = read_json(work / INPUTS) if (work / INPUTS).exists() else {}
        for path, one in known.items():
            if one["sha256"] == entry["sha256"]:
                try:
                    return located(path, name)
                except (OSError, InputError) as error:
                    raise InputError(
                        f"{name} lay at {path}, which cannot be read; say --input, as in the job"
                    ) from error
    raise InputError(f"{corpus} does not say where its input file {name} lies; say --input, as in the job")


def _similarity(text: str, other: str, settings: MinHash) -> float:
    import numpy as np

    from filters.minhash import Signer, estimates

    signer = Signer(settings)
    marks = [signer.marks(signer.minima(one)) for one in (text, other)]
    agreement = int((marks[0] == marks[1]).sum())
    return float(np.float32(estimates(len(marks[0]))[agreement]))


def _counted(masked: Mapping[str, int | None] | None) -> dict[str, int | None] | None:
    """Without the kinds that were not looked for, which a row has as null."""
    return None if masked is None else {kind: count for kind, count in masked.items() if count is not None}


def _single(value: Any) -> Any:
    """A float as a column of float32 keeps it."""
    import numpy as np

    return float(np.float32(value)) if isinstance(value, float) else value
