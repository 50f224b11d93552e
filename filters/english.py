"""English words, split as spaCy's blank English pipeline splits them, at a fraction of its cost.

The published quality rules count "words", and datatrove counts them with ``spacy.blank("en")``, anew in every filter.
spaCy's method is: split at white space, strip punctuation from both ends of each chunk, look up contractions and
abbreviations, cut the rest at infixes. What a chunk becomes depends on the chunk alone, and web text repeats its
chunks: so each distinct chunk is split once and remembered, and a page costs one dictionary look-up a chunk.
``benchmarks/rules.py`` measures agreement and speed against spaCy itself.

Beside its tokens every chunk remembers their *kinds*, one letter a token, from which the rules count:

=====  ==========================================================================================
``e``  ends a sentence (``.``, ``!``, ``?`` and their like in other scripts)
``p``  other punctuation; a symbol, not a word
``q``  punctuation that Gopher's rules nevertheless count as a word, such as ``•``
``s``  a symbol that is not punctuation, such as ``$``
``n``  a word without a letter, mostly a number
``a``  a word with a letter
=====  ==========================================================================================
"""

from __future__ import annotations

import functools
import string
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import chain

import regex

SENTENCE_END = "e"
WORD_KINDS = "qna"
SENTENCE_BREAK = regex.compile("e[epq]*[sna]")
"""In a string of kinds: a sentence ends and another begins."""

_REMEMBERED_CHUNKS = 200_000  # about 60 MB
_REMEMBERED_CHARACTERS = 40
_LONGEST_AFFIXED = 400  # a longer chunk is no English word; its ends are not stripped, so that the work stays linear

_LOWER = r"\p{Ll}\p{Lo}"
_UPPER = r"\p{Lu}\p{Lo}"
_LETTER = r"\p{L}"
_QUOTES = r"'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_MARKS = r"…,:;!?¿؟¡()\[\]{}<>_#*&。？！，、；：～·।۔؛٪"
_EITHER_END = rf"\.\.+|[{_MARKS}{_QUOTES}—–]|\p{{So}}"
_UNITS = (
    r"[kdcmµn]?m[²³]?|ha|yd|in|ft|[kmµ]?g|t|lb|oz|m/s|km/h|kmh|mph|hPa|k?Pa|mbar|[mkgt]b|[MKGT]B|[TGMK%]"
    r"|[кдсмн]?м[²³]?|[км]?г|км/ч|м/с|к?Па|[КМГТ]б|[кмгт]б"
)
_CURRENCY = r"(?:US|[CA])\$|(?!¢)\p{Sc}"
_PREFIX = regex.compile(rf"[§%=]|\+(?![0-9])|{_EITHER_END}|{_CURRENCY}")
_SUFFIX = regex.compile(
    rf"(?:{_EITHER_END}|['’][sS]|(?<=[0-9])(?:\+|{_CURRENCY}|{_UNITS})"
    rf"|(?<=[0-9{_LOWER}%²\-+{_MARKS}{_QUOTES}]|°[FfCcKk]|[{_UPPER}][{_UPPER}])\.)$"
)
_INFIX = regex.compile(
    rf"\.\.+|…|\p{{So}}|(?<=[0-9])[+\-*^](?=[0-9-])|(?<=[{_LOWER}{_QUOTES}])\.(?=[{_UPPER}{_QUOTES}])"
    rf"|(?<={_LETTER}),(?={_LETTER})|(?<=[{_LETTER}0-9])(?:---|--|——|[-–—~:<>=/])(?={_LETTER})"
)
# An address stays whole. Possessive repeats: each part is tried once, whatever the page sends.
_ADDRESS = regex.compile(
    r"(?:[\w+.\-]{2,}+://)?(?:[^\s@]++@)?"
    rf"(?:(?=[^\W_])[\w\-]{{0,62}}+(?<![_\-])\.)+[{_LOWER}]{{2,63}}+(?::\d{{2,5}})?(?:[/?#]\S*+)?"
)

# Most new chunks are a word with at most one mark behind it, which need none of the above.
_PLAIN = regex.compile(r"([A-Z]?[a-z]{2,}+|[A-Z]{2,}+)([.,;:!?)]?)")

# Characters that alone make no word for Gopher's rules, beside control characters and sentence ends.
_SYMBOLS = frozenset(string.punctuation + "–—’“”„…∶━►、〈〉《》「」【】«»´％（），１：；～")
TERMINAL_PUNCTUATION = frozenset(regex.findall(r"\p{Sentence_Terminal}", "".join(map(chr, range(0x20000)))))
"""Characters that end a sentence, in every script (Unicode's property)."""


class _Memory(dict[str, tuple[tuple[str, ...], str]]):
    """Chunk → its tokens and their kinds. A pure function with a memory, so forgetting changes nothing but time."""

    def __missing__(self, chunk: str) -> tuple[tuple[str, ...], str]:
        special = _special_cases()
        plain = _PLAIN.fullmatch(chunk)
        if plain and chunk not in special and plain[1] not in special:
            tokens = plain.groups() if plain[2] else (chunk,)
        else:
            tokens = tuple(_split_chunk(chunk, special))
        entry = tokens, "".join(map(_kind, tokens))
        if len(chunk) <= _REMEMBERED_CHARACTERS:
            if len(self) >= _REMEMBERED_CHUNKS:
                self.clear()
            self[chunk] = entry
        return entry


_memory = _Memory()


def split(text: str) -> tuple[list[str], str]:
    """Tokens of a text and their kinds, one letter a token.

    >>> split("Don't panic, Mr. Dent.")
    (['Do', "n't", 'panic', ',', 'Mr.', 'Dent', '.'], 'aaapaae')
    """
    entries = list(map(_memory.__getitem__, text.split()))
    tokens = list(chain.from_iterable(entry[0] for entry in entries))
    return tokens, "".join([entry[1] for entry in entries])


def kinds_of(text: str) -> str:
    """The kinds of a text's tokens, one letter a token."""
    return "".join([_memory[chunk][1] for chunk in text.split()])


def forget() -> None:
    """Empty the memory: for measurements that start cold."""
    _memory.clear()


def is_symbol(character: str) -> bool:
    """Whether a token made only of such characters is no word for Gopher's rules."""
    return (
        character in _SYMBOLS
        or (unicodedata.category(character) == "Cc" and character not in "\t\n")
        or character in TERMINAL_PUNCTUATION
    )


def _kind(token: str) -> str:
    if token.isalpha():
        return "a"
    if token in TERMINAL_PUNCTUATION:
        return "e"
    symbol = all(map(is_symbol, token))
    if all(unicodedata.category(character)[0] == "P" for character in token):
        return "p" if symbol else "q"
    if symbol:
        return "s"
    return "a" if any(map(str.isalpha, token)) else "n"


def _split_chunk(chunk: str, special: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """spaCy's method on a chunk without white space."""
    before: list[str] = []
    after: list[str] = []
    while 0 < len(chunk) <= _LONGEST_AFFIXED and chunk not in special:
        prefix = _PREFIX.match(chunk)
        if prefix and chunk[prefix.end() :] in special:
            suffix = None
        else:
            suffix = _SUFFIX.search(chunk, prefix.end() if prefix else 0)
            if suffix and chunk[: suffix.start()] in special:
                prefix = None
        if not (prefix or suffix):
            break
        if prefix:
            before.append(prefix[0])
        if suffix:
            after.append(suffix[0])
        chunk = chunk[prefix.end() if prefix else 0 : suffix.start() if suffix else len(chunk)]
    yield from before
    if chunk in special:
        yield from special[chunk]
    elif len(chunk) <= _LONGEST_AFFIXED and _ADDRESS.fullmatch(chunk):
        yield chunk
    else:
        for part in _cut_at_infixes(chunk):
            yield from special.get(part, (part,))
    yield from reversed(after)


def _cut_at_infixes(chunk: str) -> Iterator[str]:
    start = 0
    for match in _INFIX.finditer(chunk):
        if match.start() == 0:
            continue
        if match.start() > start:
            yield chunk[start : match.start()]
        yield match[0]
        start = match.end()
    if start < len(chunk):
        yield chunk[start:]


@functools.cache
def _special_cases() -> dict[str, tuple[str, ...]]:
    """Contractions, abbreviations and emoticons, with either apostrophe; the cases of spaCy's English data."""
    cases: dict[str, tuple[str, ...]] = {}
    for words, endings in _CONTRACTIONS.items():
        for word in words.split():
            for ending in endings.split():
                for parts in ((word, *ending.split("+")), (word, *ending.replace("'", "").split("+"))):
                    titled = (parts[0].title(), *parts[1:])
                    cases["".join(parts)] = parts
                    cases["".join(titled)] = titled
    for word in _NOT_CONTRACTED.split():
        cases.pop(word, None)
        cases.pop(word.title(), None)
    for hour in range(1, 13):
        for half in ("am", "pm", "a.m.", "p.m."):
            cases[f"{hour}{half}"] = str(hour), half
    for parted in _PARTED.split():
        pieces = tuple(parted.split("+"))
        cases["".join(pieces)] = pieces
    for whole in _WHOLE.split():
        cases[whole] = (whole,)
    for letter in string.ascii_lowercase + "äöü":
        cases[f"{letter}."] = (f"{letter}.",)
    curly = {key.replace("'", "’"): tuple(part.replace("'", "’") for part in value) for key, value in cases.items()}
    return curly | cases


_CONTRACTIONS = {
    "i": "'m 'm+a 'll 'd 've 'll+'ve 'd+'ve",
    "you we they": "'ll 'd 've 're 'll+'ve 'd+'ve",
    "he she it": "'ll 'd 's 'll+'ve 'd+'ve",
    "who what when where why how there": "'ll 'd 's 're 've 'll+'ve 'd+'ve",
    "that this": "'ll 'd 's 'll+'ve 'd+'ve",
    "these those": "'ll 'd 're 've 'll+'ve 'd+'ve",
    "ca could do does did had may might must need ought sha should wo would": "n't n't+'ve",
    "ai are is was were have has dare": "n't",
    "could might must should would not": "'ve",
}
_NOT_CONTRACTED = "ill its hell shell shed were well whore"
_PARTED = (
    "y'+all y+all how+'d+'y How+'d+'y can+not Can+not gon+na Gon+na got+ta Got+ta let+'s Let+'s "
    "c'm+on C'm+on °+c+. °+f+. °+k+. °+C+. °+F+. °+K+."
)
_WHOLE = r"""
'S 's ‘S ‘s 'd 're 'll ll em 'em nuff 'nuff 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout and/or w/o ma'am Ma'am
o'clock O'clock lovin' Lovin' havin' Havin' doin' Doin' goin' Goin' nothin' Nothin' nuthin' Nuthin' ol' Ol' somethin'
Somethin' ' '' \") <space> C++ \t \n
Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan.
Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C.
Sep. Sept. Tenn. Va. Wash. Wis. a.m. p.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E.
Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s.
:) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-( :(( :-((
:((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o :0 :-0 :() >:o :*
:-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__-
v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<)
(*_*) (¬_¬) ><(((*>
"""
