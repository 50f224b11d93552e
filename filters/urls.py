"""Which pages are refused by their address alone, before anything is done with what they say.

The rules are those of RefinedWeb (Penedo et al. 2023, section 3.1) as datatrove's ``URLFilter`` applies them in
FineWeb's recipe: banned domains, banned addresses, banned words, more than one soft word, banned parts of words. The
published lists lie in the installed datatrove package and are read from there; the 4.6 million domains are the
University of Toulouse's (UT1, CC BY-SA), so we ship no copy. A job may add lists of its own, and exempt domains.

A domain covers all below it, and so does an address. That is what the lists mean. datatrove compares only whole host
names, registered domains and whole addresses, and finds none of its banned addresses, which lack the ``http://``.
"""

from __future__ import annotations

import functools
import io
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field, NonNegativeInt

from common.settings import Settings
from filters.lists import ListFile, SortedLines, any_of
from filters.verdict import Rejection

NAME = "url"
_ARCHIVE = "url_filterblacklistsv0_3_0.tar.gz"
_MAX_HOST = 253  # RFC 1035
_SHOWN_ENTRIES = 5
_START = r"\s*(?:(?:[a-z][a-z0-9+.-]*:)?//)?(?:[^/?#@]*@)?"
_BEFORE_HOST = re.compile(_START)
_PARTS = re.compile(_START + r"(\[[^\]/?#]*\]|[^/?#:\s]*)(?::[0-9]*)?([^#]*)")
_PLACEHOLDER = re.compile(r"(?:.*\.)?(?:example(?:\.(?:com|net|org))?|invalid|localhost|test)")  # RFC 2606
_WORDS = re.compile("[a-z0-9]+")


_List = Annotated[ListFile | None, BeforeValidator(lambda value: {"file": value} if isinstance(value, str) else value)]


class UrlSettings(Settings):
    """Which addresses are refused. Lists are files with one entry a line, and add to the published ones."""

    published_lists: bool = Field(True, description="use the lists of FineWeb's recipe, as datatrove installs them")
    allowed_domains: _List = Field(None, description="never refused, nor what lies below them")
    banned_domains: _List = Field(None, description="refused with all below them: spam.example takes a.spam.example")
    banned_urls: _List = Field(None, description="refused with all below them; a scheme and www. do not matter")
    banned_words: _List = Field(None, description="one of them as a whole word of the address refuses it")
    max_soft_banned_words: NonNegativeInt = Field(1, description="different words of soft_banned_words")
    soft_banned_words: _List = Field(None, description="counted as whole words of the address")
    banned_subwords: _List = Field(None, description="refused where they stand in its letters and digits")

    def resolved(self) -> UrlSettings:
        """The same with a digest beside every file, so that another content is another job."""
        return self.model_copy(update={name: value.resolved() for name, value in self if isinstance(value, ListFile)})


class Address(NamedTuple):
    """What rules look at in a URL, in lower case.

    Attributes:
        host: without port and user; "" for a placeholder that names no site.
        rest: path and query, with the sign they begin with.
        words: runs of letters and digits of the whole URL.
    """

    host: str
    rest: str
    words: Sequence[str]

    @classmethod
    def parse(cls, url: str) -> Address:
        """Any string is taken; there is no address that a crawl might not hold."""
        url = url.lower()
        parts = _PARTS.match(url)
        assert parts is not None  # it matches the empty string
        host = parts[1].rstrip(".")
        return cls("" if is_placeholder(host) else host, parts[2], _WORDS.findall(url))

    def domains(self) -> list[bytes]:
        """The host and every domain above it, the narrowest first."""
        host = self.host[-_MAX_HOST:].encode("utf-8", "replace")
        found = [host]
        if not host.replace(b".", b"").isdigit():  # an IPv4 address has nothing above it
            while host := host.partition(b".")[2]:
                found.append(host)
        return found

    def places(self, longest: int) -> Iterator[bytes]:
        """Host and path, and every place above it, of up to ``longest`` characters, the narrowest first."""
        address = (self.host.removeprefix("www.") + self.rest)[: longest + 1]
        for end in range(len(address), 0, -1):
            if end == len(address) or address[end] in "/?&":
                yield address[:end].encode("utf-8", "replace")


def is_placeholder(host: str) -> bool:
    """Whether a host name in lower case is reserved for examples and belongs to nobody (RFC 2606)."""
    return _PLACEHOLDER.fullmatch(host) is not None


class UrlRules:
    """The rules of a job, ready for any number of addresses."""

    def __init__(self, settings: UrlSettings) -> None:
        self._max_soft_words = settings.max_soft_banned_words
        known = _published() if settings.published_lists else _Published()
        self._allowed = SortedLines.of(_read(settings.allowed_domains))
        own_domains = SortedLines.of(_read(settings.banned_domains))
        self._domains = [listed for listed in (known.domains, own_domains) if listed]
        places = {_place(entry) for entry in (*known.urls, *_read(settings.banned_urls))}
        self._places, self._longest_place = SortedLines.of(places), max(map(len, places), default=0)
        self._hosts_of_places = {re.split("[/?&]", place)[0] for place in places}
        self._words = _plain(known.words, _read(settings.banned_words))
        self._soft_words = _plain(known.soft_words, _read(settings.soft_banned_words))
        self._subwords = any_of(_plain(known.subwords, _read(settings.banned_subwords)))

    def rejection(self, url: str | None) -> tuple[Rejection, str] | None:
        """Why an address is refused, and the entries that it met; None if it is not, or names no site.

        The reason is the setting that decided, the value how many entries were met, and the limit how many may be.
        """
        for setting, met, limit in self._met(url):
            if len(met) > limit:
                shown = ", ".join(sorted(met)[:_SHOWN_ENTRIES])
                return Rejection(f"{NAME}_{setting}", float(len(met)), float(limit)), shown
        return None

    def measurements(self, url: str | None) -> dict[str, tuple[float, float]]:
        """For every setting how many entries an address meets, and how many it may."""
        return {
            f"{NAME}_{setting.removeprefix('max_')}": (float(len(met)), float(limit))
            for setting, met, limit in self._met(url)
        }

    def _met(self, url: str | None) -> Iterator[tuple[str, set[str] | frozenset[str], int]]:
        """Every setting in datatrove's order, the entries met, and how many may be."""
        address = Address.parse(url or "")
        domains = address.domains()
        if not address.host or (self._allowed and any(domain in self._allowed for domain in domains)):
            return
        banned = {domain.decode() for listed in self._domains for domain in domains if domain in listed}
        yield "banned_domains", banned, 0
        yield "banned_urls", self._met_places(address), 0
        yield "banned_words", self._words.intersection(address.words), 0
        yield "max_soft_banned_words", self._soft_words.intersection(address.words), self._max_soft_words
        yield "banned_subwords", set(self._subwords.findall("".join(address.words))), 0

    def _met_places(self, address: Address) -> set[str]:
        if address.host.removeprefix("www.") not in self._hosts_of_places:
            return set()
        return {place.decode() for place in address.places(self._longest_place) if place in self._places}


@dataclass(frozen=True, slots=True)
class _Published:
    """The lists that datatrove installs."""

    domains: SortedLines | None = None
    urls: Sequence[str] = ()
    words: Sequence[str] = ()
    soft_words: Sequence[str] = ()
    subwords: Sequence[str] = ()


@functools.cache
def _published() -> _Published:
    """Read once a process: 0.8 s and 130 MB, which forked workers share."""
    from datatrove.utils._import_utils import ASSETS_PATH

    folder = Path(ASSETS_PATH)
    archive = zlib.decompress((folder / _ARCHIVE).read_bytes(), wbits=31)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        domains, urls = (_member(archive, tar.getmember(name)) for name in ("domains", "urls"))
    words = (
        ListFile(file=str(folder / name)).read()
        for name in ("banned_words.txt", "soft_banned_words.txt", "banned_subwords.txt")
    )
    return _Published(SortedLines(domains), urls.decode().lower().split(), *words)


def _member(archive: bytes, member: Any) -> bytes:
    return archive[member.offset_data : member.offset_data + member.size].rstrip(b"\n") + b"\n"


def _read(listed: ListFile | None) -> list[str]:
    return listed.read() if listed else []


def _place(url: str) -> str:
    """An entry of a list of addresses as :meth:`Address.places` spells it."""
    before = _BEFORE_HOST.match(url)
    assert before is not None  # it matches the empty string
    return url[before.end() :].removeprefix("www.").rstrip("/?&")


def _plain(*lists: Iterable[str]) -> frozenset[str]:
    """Entries as letters and digits only, as datatrove compares them."""
    return frozenset(word for entries in lists for entry in entries if (word := "".join(_WORDS.findall(entry))))
