"""Personal data in a text, replaced by typed placeholders: e-mail and IP addresses, telephones, IBANs, payment cards.

What is published as an example is left alone (``user@example.com``, ``192.0.2.1``), and so are addresses that reach
nobody outside (``127.0.0.1``, ``10.0.0.1``). A placeholder is constant, so that a text does not depend on those before
it: datatrove takes its replacements in turn. The names are StarCoder's where it has them (Li et al. 2023, section 4).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import Field

from common.settings import Settings
from filters import digits
from filters.digits import Span
from filters.urls import is_placeholder

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["email", "ip", "phone", "iban", "card"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PLACEHOLDERS: Mapping[str, str] = {
    "email": "<EMAIL>", "ip": "<IP_ADDRESS>", "phone": "<PHONE>", "iban": "<IBAN>", "card": "<CARD>"
}  # fmt: skip

_LABEL = "[a-z0-9À-ɏ](?:[a-z0-9À-ɏ-]{0,61}[a-z0-9À-ɏ])?"
_DOMAIN = re.compile(rf"@({_LABEL}(?:\.{_LABEL}){{1,8}})", re.IGNORECASE)
_SPELT = re.compile(  # someone [at] site [dot] org
    rf"[\[({{]\s?(?:at|@)\s?[\])}}]\s?({_LABEL}(?:(?:\.|\s?[\[({{]\s?(?:dot|\.)\s?[\])}}]\s?){_LABEL}){{1,8}})",
    re.IGNORECASE,
)
_SPELT_DOT = re.compile(r"\s?[\[({]\s?(?:dot|\.)\s?[\])}]\s?", re.IGNORECASE)
_LOCAL_BACKWARDS = re.compile(r"[A-Za-z0-9_À-ɏ.%+'-]*")
_MAX_LOCAL = 64  # RFC 5321
_HEX = "[0-9A-Fa-f]"
_IPV6 = re.compile(rf"[23]{_HEX}{{3}}:(?<![\w:.]....:)(?:{_HEX}{{0,4}}:){{1,6}}{_HEX}{{0,4}}(?![\w:])")
_IBAN_DIGITS = re.compile(r"[0-9]{2}(?<=[A-Z]{2}..)(?<![A-Za-z0-9]....)(?=[ -]?[A-Z0-9]{4})")  # digits are rarer
_IBAN_LENGTHS_BY_COUNTRY = """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18
    FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20
    LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24
    SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
"""
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBAN_LENGTHS_BY_COUNTRY.split()}  # SWIFT's IBAN registry


class PersonalData(Settings):
    """Which personal data is masked."""

    mask: tuple[Kind, ...] = Field(default=KINDS, min_length=1, description="email, ip, phone, iban, card")

    @classmethod
    def from_job(cls, value: Any) -> Any:
        """The word ``mask`` in a job file is all kinds."""
        return {} if value == "mask" else value


def mask(text: str, kinds: Sequence[str] = KINDS) -> tuple[str, dict[str, int]]:
    """The text with a placeholder for every piece of personal data, and how many of each kind there were.

    A text without any comes back as the same object. Masking a masked text changes nothing.

    >>> mask("Write to ann@site.org or call (212) 555-0123.", ["email", "phone"])
    ('Write to <EMAIL> or call <PHONE>.', {'email': 1, 'phone': 1})
    """
    spans = _merged([span for span in _find(text) if span[0] in kinds])
    counts = dict.fromkeys(kinds, 0)
    for kind, _, _ in spans:
        counts[kind] += 1
    if not spans:
        return text, counts
    pieces: list[str] = []
    place = 0
    for kind, begin, end in spans:
        pieces += text[place:begin], PLACEHOLDERS[kind]
        place = end
    return "".join([*pieces, text[place:]]), counts


def masked_type() -> pa.DataType:
    """The column ``masked`` of a corpus: how many of each kind; null where it was not looked for."""
    import pyarrow as pa

    return pa.struct([(kind, pa.int32()) for kind in KINDS])


def masked_counts(parts: Sequence[Path]) -> dict[str, dict[str, int]]:
    """Of each kind how many were masked in tables of documents, and in how many documents."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    counts: dict[str, dict[str, int]] = {kind: {"found": 0, "documents": 0} for kind in KINDS}
    for part in filter(Path.exists, parts):
        for batch in pq.ParquetFile(part).iter_batches(columns=["masked"]):
            for kind, total in counts.items():
                values = pc.fill_null(pc.struct_field(batch["masked"], kind), 0)
                total["found"] += pc.sum(values).as_py() or 0
                total["documents"] += pc.sum(pc.greater(values, 0)).as_py() or 0
    return counts


def _find(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from _emails(text, _DOMAIN)
    yield from _emails(text, _SPELT)
    for match in _IPV6.finditer(text):
        if _is_public(match[0]):
            yield "ip", *match.span()
    yield from _ibans(text)
    yield from digits.find(text)


def _merged(spans: list[Span]) -> list[Span]:
    """Spans in order; of those that overlap one, as long as all of them, of the kind that begins first."""
    merged: list[Span] = []
    for kind, begin, end in sorted(spans, key=lambda span: (span[1], -span[2])):
        if merged and begin < merged[-1][2]:
            first, start, stop = merged[-1]
            merged[-1] = (first, start, max(stop, end))
        else:
            merged.append((kind, begin, end))
    return merged


def _emails(text: str, pattern: re.Pattern[str]) -> Iterator[Span]:
    """The part before the sign is read backwards from it, so that a long word without one costs nothing."""
    for match in pattern.finditer(text):
        begin = match.start()
        if pattern is _SPELT and text[begin - 1 : begin] == " ":
            begin -= 1
        before = _LOCAL_BACKWARDS.match(text[max(0, begin - _MAX_LOCAL - 1) : begin][::-1])
        local = before[0][::-1].lstrip(".%+'-") if before else ""
        labels = _SPELT_DOT.sub(".", match[1]).split(".")
        surplus = next((n for n, label in enumerate(reversed(labels)) if label.lower() in _top_domains()), len(labels))
        host = ".".join(labels[: len(labels) - surplus]).lower()
        if not local or len(local) > _MAX_LOCAL or "." not in host or is_placeholder(host):
            continue
        end = match.end() - sum(len(label) + 1 for label in labels[len(labels) - surplus :]) if surplus else match.end()
        handle = text[begin - len(local) - 1 : begin - len(local)] == "@"  # @someone@a.server is a mention
        remote = local == "git" and text[end : end + 1] in (":", "/")  # git@host:project is a place
        if not handle and not remote:
            yield "email", begin - len(local), end


@functools.cache
def _top_domains() -> frozenset[str]:
    """From the list of suffixes that tldextract carries, so that ``x@W.T`` in a formula is no address."""
    import tldextract

    suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None).tlds
    return frozenset(suffix for suffix in suffixes if "." not in suffix)


def _is_public(address: str) -> bool:
    """Within 2000::/3, all that is given out; the pattern has seen to that, or ``a::b`` in a program would be one."""
    try:
        return IPv6Address(address).is_global
    except ValueError:
        return False


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN_DIGITS.finditer(text):
        begin = match.start() - 2
        length = _IBAN_LENGTHS.get(text[begin : begin + 2])
        found = _iban_of(length).match(text, begin) if length else None
        if found and has_check_digits(re.sub("[ -]", "", found[0])):
            yield "iban", *found.span()


@functools.cache
def _iban_of(length: int) -> re.Pattern[str]:
    return re.compile(rf"(?:[A-Z0-9][ -]?){{{length - 1}}}[A-Z0-9](?![A-Za-z0-9])")


def has_check_digits(iban: str) -> bool:
    """Whether an IBAN is a multiple of 97 and 1 over, its letters read as 10 to 35 (ISO 13616, ISO 7064).

    >>> has_check_digits("GB82WEST12345698765432"), has_check_digits("GB83WEST12345698765432")
    (True, False)
    """
    return int("".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])) % 97 == 1
