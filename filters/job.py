"""The job file: one YAML that says what is read, what is kept, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from classifiers.cascade_settings import Promise
from common.errors import SettingsError
from common.settings import Settings
from filters.contamination.settings import Decontaminate
from filters.executors.settings import Executor, Local
from filters.personal_data import PersonalData
from filters.quotas import Quotas

RULE_NAMES = ("url", "gopher_repetition", "gopher_quality", "c4", "fineweb")


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Language(Settings):
    """Which languages are kept."""

    keep: tuple[str, ...] = Field(default=("en",), min_length=1, description="ISO 639-1 codes")
    min_probability: float = Field(default=0.65, ge=0, le=1, description="of the most probable language; inclusive")


class MinHash(Settings):
    """How near-duplicates are found; datatrove's and FineWeb's parameters."""

    words: PositiveInt = Field(default=5, description="words of a shingle")
    buckets: PositiveInt = Field(default=14, description="documents are compared that agree on one of so many buckets")
    hashes: PositiveInt = Field(default=8, description="hashes of a bucket")
    min_similarity: float = Field(
        default=0.75, gt=0, le=1, description="estimated Jaccard similarity of the shingles of near-duplicates"
    )


def _as_minhash(value: Any) -> Any:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


class Deduplicate(Settings):
    """Which copies are dropped. The first of the job's order stays."""

    exact: bool = Field(default=True, description="documents with the same text, over the whole job")
    minhash: Annotated[MinHash | None, BeforeValidator(_as_minhash)] = Field(
        default=MinHash(), description="documents with nearly the same text: true, false, or settings"
    )


class Cascade(Promise):
    """How far the first stage of a classifier is trusted."""

    audit_fraction: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="documents that the full model scores only to check the first stage, of all; 0: none",
    )


class Limits(Settings):
    """What one document may cost, so that none can stall or exhaust a worker."""

    document_bytes: PositiveInt = Field(default=8 << 20, description="bytes of a page or text, unpacked")
    document_seconds: PositiveFloat = Field(default=20, description="CPU seconds to extract and measure one document")
    document_memory_bytes: PositiveInt = Field(default=2 << 30, description="memory for the same")


class Job(Settings):
    """A filter job, as its YAML file says it."""

    input: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = Field(
        min_length=1, description="a file, folder, glob or URL of WARC, WET, JSONL or Parquet, or a list of them"
    )
    output: str = Field(min_length=1, description="the corpus directory to write; with work: also a URL")
    work: str | None = Field(
        None, min_length=1, description="folder to work in, where output is an object store; null: the output itself"
    )
    extract: Literal["resiliparse", "trafilatura", "auto", "none"] = Field(
        "resiliparse",
        description="how text is taken from HTML: resiliparse is fast, trafilatura precise, auto precise and nearly as "
        "fast; none: pages are refused, only text is read",
    )
    language: Language | None = Field(Language(), description="null: every language")
    rules: tuple[dict[str, dict[str, Any]], ...] = Field(
        tuple({name: {}} for name in RULE_NAMES),
        description="rule sets in order; each a name, or {name: {bound: value}}",
    )
    personal_data: Annotated[PersonalData | None, BeforeValidator(PersonalData.from_job)] = Field(
        PersonalData(), description="mask, {mask: [email, …]} for some kinds, or null: left as it is"
    )
    deduplicate: Deduplicate = Deduplicate()
    decontaminate: Annotated[Decontaminate | None, BeforeValidator(Decontaminate.from_job)] = Field(
        None, description="eval files whose items are looked for: paths or globs, or {evals: …} with settings"
    )
    classifier: str = Field("default", description="default, or a classifier directory")
    cascade: Cascade | None = Field(
        Cascade(), description="where the classifier has a first stage; null: the full model scores every document"
    )
    budget_tokens: PositiveInt | None = Field(None, description="keep the best documents up to so many tokens")
    budgets: tuple[PositiveInt, ...] | None = Field(
        None, min_length=1, description="several of them instead: below output a corpus directory for each"
    )
    min_score: float | None = Field(None, description="keep no document that scores less than this, 0 to 5")
    quotas: Quotas | None = Field(None, description="shares of the budget by language, by source or by both")
    when_short: Literal["refuse", "keep_all"] = Field(
        "refuse", description="where a budget or quota is more than there is: stop, or keep what there is and say so"
    )
    executor: Executor = Local()
    max_lost_fraction: float = Field(0.01, ge=0, le=1, description="of all documents; more losses stop the job")
    limits: Limits = Limits()

    @field_validator("rules", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """``[c4, {fineweb: {…}}]`` as ``[{c4: {}}, {fineweb: {…}}]``."""
        if not isinstance(value, list | tuple):
            return () if value is None else value
        return tuple({entry: {}} if isinstance(entry, str) else entry for entry in value)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self._check_budget()
        if "://" in (self.work or self.output):
            name = "work" if self.work else "output"
            raise ValueError(
                f"{name} {self.work or self.output!r} is no folder: set work to a folder of this machine, or one that "
                "all nodes of the executor share; the corpus is made there and then copied to output"
            )
        if self.work == self.output:
            raise ValueError(f"work and output are the same folder, {self.output!r}; leave work out")
        names = [name for entry in self.rules for name in entry]
        if len(names) != len(self.rules):
            raise ValueError("each entry of rules is one name, or one {name: {bound: value}}")
        if len(set(names)) != len(names):
            raise ValueError(f"rules names {max(names, key=names.count)!r} twice")
        if "url" in names[1:]:
            raise ValueError(
                f"rules names 'url' after {names[0]!r}; it is applied before there is a text: name it first"
            )
        return self

    def _check_budget(self) -> None:
        if self.budget_tokens is not None and self.budgets is not None:
            raise ValueError("give budget_tokens or budgets; the job has both")
        if self.budget_tokens is None and self.budgets is None:
            if self.min_score is None:
                raise ValueError("give budget_tokens, budgets or min_score; the job has none of them")
            if self.quotas is not None:
                raise ValueError("quotas divide a budget; give budget_tokens or budgets")
        if self.budgets is not None and len(set(self.budgets)) != len(self.budgets):
            raise ValueError(f"budgets names {max(self.budgets, key=self.budgets.count):,} twice")
        if self.quotas is not None and self.quotas.language is not None and self.language is None:
            raise ValueError("quotas.language needs the step language, which is null")

    def corpora(self) -> tuple[Job, ...]:
        """A job for each corpus: this one, or with ``budgets`` one for each budget, in a folder below ``output``."""
        if self.budgets is None:
            return (self,)
        return tuple(
            self.model_copy(
                update={"budgets": None, "budget_tokens": tokens, "output": f"{self.output}/{short_name(tokens)}"}
            )
            for tokens in self.budgets
        )

    def placed(self) -> Job:
        """The same job with its corpora where they are made: in ``work`` if there is one."""
        return self if self.work is None else self.model_copy(update={"output": self.work, "work": None})

    def places(self) -> dict[str, str]:
        """The folder that each corpus is made in, by where it goes."""
        return {to.output: made.output for to, made in zip(self.corpora(), self.placed().corpora(), strict=True)}

    def resolved(self) -> Job:
        """The same job with every bound of every rule set written out.

        Raises:
            SettingsError: if a rule set, a bound or a language is unknown.
        """
        from filters.language import known_languages

        for code in self.language.keep if self.language else ():
            if code not in known_languages():
                raise SettingsError(
                    f"language.keep: {code!r} is not a language code that is known; give codes such as en, de or pt "
                    f"({', '.join(sorted(known_languages()))})"
                )
        rules = tuple({name: _resolved_rule(name, bounds)} for entry in self.rules for name, bounds in entry.items())
        return self.model_copy(update={"rules": rules})

    def scan_settings(self) -> Mapping[str, Any]:
        """What decides the result of reading one file."""
        return self.model_dump(include={"extract", "language", "rules", "personal_data", "limits"}, mode="json")

    def corpus_settings(self) -> Mapping[str, Any]:
        """What decides the corpus: all but where it lies, where its input lies and who does the work."""
        places = ("input", "output", "work", "executor", "classifier", "budgets")
        return self.model_dump(exclude=dict.fromkeys(places, True) | {"decontaminate": {"evals"}}, mode="json")


def short_name(tokens: int) -> str:
    """A number of tokens as a name, exact and as short as can be.

    >>> short_name(95_000_000_000), short_name(1_500)
    ('95B', '1500')
    """
    for zeros, letter in ((12, "T"), (9, "B"), (6, "M"), (3, "K")):
        if tokens % 10**zeros == 0:
            return f"{tokens // 10**zeros}{letter}"
    return str(tokens)


def _resolved_rule(name: str, bounds: Mapping[str, Any]) -> dict[str, Any]:
    from filters.rules import make_rule
    from filters.urls import UrlSettings

    settings = (
        UrlSettings.parse(bounds, f"rules.{name}").resolved() if name == "url" else make_rule(name, bounds).settings
    )
    values: dict[str, Any] = settings.model_dump()
    return values
