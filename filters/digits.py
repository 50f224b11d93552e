"""Numbers in a text that belong to somebody: telephones, payment cards and public IPv4 addresses.

All are looked for inside runs of digits and separators, which are few, so a page costs one scan. A telephone number is
known by its form: international (``+49 30 1234567``), North American (``(212) 555-0123``), British, French, or an area
code in brackets. Any other number is one only after a word that announces it (``Tel. 555 1234``). What these forms
share with dates, versions and tables is told apart by what stands around them.

Every pattern repeats bounded pieces, so the time is linear in the text whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address
from itertools import pairwise

Span = tuple[str, int, int]
"""Kind, begin, end."""

_GAP = r" \xa0().\-‐‑–/"
_RUN = re.compile(rf"[0-9][0-9{_GAP}]{{5,}}[0-9]")
_LINK = r"[ \xa0.\-‐‑–/)]{0,3}"
_AROUND = 3  # characters: "(+ " may stand before a run, and behind it is what must not

# what may not stand around a number: more of a word, a path or another number
_NOT_AFTER = r"(?<![\w.+$#@/=])(?<![0-9_]-)"
_NOT_BEFORE = r"(?![\w@=]|[*^]\w|[-–/]\w|\.[0-9])"
_ALONE = r"(?<![0-9][ \xa0,])(?<![0-9], )"
_END_ALONE = r"(?!,?[ \xa0][0-9])"

_IPV4 = re.compile(r"(?<![\w.+])(?<![a-z_][/-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w@]|\.[0-9]|-[a-z])", re.IGNORECASE)
_NO_ADDRESS = re.compile(
    r"(?:\b(?:v|ver|version|versions|release|build|firmware|driver|kernel|player|section|sections|sec|chapter|clause|"
    r"paragraph|para|article|appendix|annex|figure|fig|table|rule|part|item|step|oid|rev|revision|no|exercise|theorem|"
    r"lemma|equation|eq)\.?|§)\s?:?\s?\(?$",
    re.IGNORECASE,
)
_CARD = re.compile(
    rf"{_NOT_AFTER}{_ALONE}[0-9]{{4}}([ -]?)(?:[0-9]{{4}}\1[0-9]{{4}}\1[0-9]{{4}}|[0-9]{{6}}\1[0-9]{{4,5}})"
    rf"{_NOT_BEFORE}{_END_ALONE}"
)
_ISSUER = re.compile(  # Visa, Mastercard, American Express, Discover, Diners, JCB
    "4.{15}|5[1-5].{14}|2(?:22[1-9]|2[3-9].|[3-6]..|7[01].|720).{12}|3[47].{13}|6(?:011|4[4-9].|5..).{12}"
    "|3(?:0[0-5]|[68].).{11}|35.{14}"
)

_NORTH_AMERICAN = re.compile(
    rf"{_NOT_AFTER}(?:1[ .\-–]?)?"
    r"(?:\([2-9][0-8][0-9]\)[ .\-–]{0,2}[2-9][0-9]{2}[ .\-–]{1,2}"
    r"|[2-9][0-8][0-9](?:([.\-–‑])[2-9][0-9]{2}\1|/ ?[2-9][0-9]{2}-)"
    rf"|(?<![0-9][ \xa0,])[2-9][0-8][0-9][ \xa0][2-9][0-9]{{2}}[ \xa0-])[0-9]{{4}}{_NOT_BEFORE}"
)
_INTERNATIONAL = re.compile(
    rf"(?:(?<![\w+)\]])\+ ?|(?<![\w.-])011[ -])(?!0|28|83|89)"
    rf"[0-9](?:{_LINK}[0-9]){{0,2}}{_LINK}\(?[0-9](?:{_LINK}[0-9]){{5,13}}{_NOT_BEFORE}"
)
_BRACKETS = re.compile(
    rf"(?<![\w+])\(0[0-9]{{1,5}}\)[ /\-–]{{0,3}}[0-9]{{2,8}}(?:[ \-–][0-9]{{2,6}}){{0,3}}{_NOT_BEFORE}"
)
_BRITISH = re.compile(
    rf"{_NOT_AFTER}{_ALONE}0(?:[1-9][0-9][ -][0-9]{{4}}[ -][0-9]{{4}}|[1-9][0-9]{{2}}[ -][0-9]{{3}}[ -][0-9]{{3,4}}"
    rf"|[1-9][0-9]{{3}}[ -](?:[0-9]{{6}}|[0-9]{{3}}[ -][0-9]{{3}}))(?![0-9])(?! [0-9]){_NOT_BEFORE}"
)
_FRENCH = re.compile(rf"{_NOT_AFTER}{_ALONE}0[1-9](?:([ .-])[0-9]{{2}})(?:\1[0-9]{{2}}){{3}}{_NOT_BEFORE}{_END_ALONE}")
_ANY = re.compile(rf"{_NOT_AFTER}[+(]{{0,2}}[0-9](?:{_LINK}[0-9]){{6,16}}{_NOT_BEFORE}")
_ANNOUNCED = re.compile(
    r"\b(?:(?:tele|cell)?phone|(?:tele)?fax|t[ée]l|ph|telefon|t[ée]l[ée]phone|tel[ée]fono|cell|mobile|mob|call|contact|"
    r"hotline|helpline|whatsapp|toll[ -]?free)\b[^0-9<>\n]{0,30}$|[☎☏✆📞📱][^0-9<>\n]{0,3}$",
    re.IGNORECASE,
)
_YEAR = "(?:1[5-9]|20)[0-9]{2}"
_DATES = re.compile(
    rf"{_YEAR}[ ./–-]+{_YEAR}|{_YEAR}([./–-])[0-9]{{1,2}}\1[0-9]{{1,2}}(?![0-9])"
    rf"|[0-9]{{1,2}}([ ./–-])[0-9]{{1,2}}\2(?:{_YEAR}|[0-9]{{2}})(?![0-9]|\2[0-9])"
)
_SUM = re.compile(r"\+ [0-9]+|\+ ?[0-9]+\.[0-9]+")
_CONTEXT = 40
_ANOTHER = re.compile(r"\s{0,2}(?:or|and|[,;/&])\s{0,2}")


def find(text: str) -> Iterator[Span]:
    """Every telephone number, payment card and public IPv4 address, possibly overlapping."""
    told = 0  # end of the last telephone number
    for run in _RUN.finditer(text):
        begin, end = max(0, run.start() - _AROUND), run.end() + _AROUND
        for kind, pattern, accepts in _FORMS:
            for match in pattern.finditer(text, begin, end):
                if accepts(match):
                    yield kind, *match.span()
                    told = max(told, match.end()) if kind == "phone" else told
        for match in _ANY.finditer(text, begin, end):
            if match.start() < told or _DATES.match(match[0]):
                continue
            if _ANNOUNCED.search(_before(match)) or (told and _ANOTHER.fullmatch(text, told, match.start())):
                yield "phone", *match.span()
                told = match.end()


def _before(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - _CONTEXT) : match.start()]


def _is_public(match: re.Match[str]) -> bool:
    """An address of the public internet, and neither a version nor a section: those have small numbers in front."""
    octets = [int(octet) for octet in match[0].split(".")]
    if max(octets) > 255 or max(octets) < 32 or (octets[0] < 16 and (octets[1] < 10 or max(octets) < 64)):
        return False
    return IPv4Address(bytes(octets)).is_global and octets[0] < 224 and not _NO_ADDRESS.search(_before(match))


def _is_card(match: re.Match[str]) -> bool:
    digits = _digits(match[0])
    return _ISSUER.fullmatch(digits) is not None and luhn(digits) and len(set(digits)) > 3


def luhn(digits: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    values = [int(digit) for digit in reversed(digits)]
    return sum(values[::2] + [sum(divmod(2 * value, 10)) for value in values[1::2]]) % 10 == 0


def _is_international(match: re.Match[str]) -> bool:
    """Seven to fifteen digits, eleven in North America; no sum of money (``+250 000 000``), no ``x + 3071250000``."""
    digits = _digits(match[0]).removeprefix("011")
    if digits[0] == "1":
        return len(digits) == 11 and digits[1] in "23456789"
    return not digits.endswith("000000") and not _SUM.fullmatch(match[0])


def _is_bracketed(match: re.Match[str]) -> bool:
    return 8 <= len(_digits(match[0])) <= 12


def _is_french(match: re.Match[str]) -> bool:
    """Five pairs, but not the first five of a list."""
    digits = _digits(match[0])
    pairs = [int(digits[place : place + 2]) for place in range(0, 10, 2)]
    return any(right - left != 1 for left, right in pairwise(pairs))


def _always(_: re.Match[str]) -> bool:
    return True


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


_FORMS: Sequence[tuple[str, re.Pattern[str], Callable[[re.Match[str]], bool]]] = (
    ("card", _CARD, _is_card),
    ("ip", _IPV4, _is_public),
    ("phone", _INTERNATIONAL, _is_international),
    ("phone", _NORTH_AMERICAN, _always),
    ("phone", _BRACKETS, _is_bracketed),
    ("phone", _BRITISH, _always),
    ("phone", _FRENCH, _is_french),
)
