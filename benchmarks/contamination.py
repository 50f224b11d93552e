"""Eval items planted in real pages: how many are found, at what cost, and what is found where none was planted.

    python -m benchmarks.contamination --evals evals --crawl 'crawl/pages-0*.warc.gz'

- *planted*: for each way of printing an item (``verbatim``; ``reflowed``: upper or lower case, lines broken anew, other
  quotes, dashes and brackets, choices as a list; ``truncated``: the first half of its words; ``listed``: among nine
  other items of its task), every item that can be checked is put at a random place in the extracted text of some page.
  Recall is the share that is found in its page.
- *halves*: the index holds half of the items, the pages hold the other half: same tasks, same templates, other items.
  ``--show`` prints every hit to be judged by a reader; most are twins that the eval sets hold themselves.
- *clean*: the pages as they are. ``--show`` prints these hits as well.

The peer is what is usually done: the set of an item's 13-grams meets the set of a page's, both lower case without
punctuation. Times are of the process, medians of the repeats, in milliseconds a page.
Prints tables, and last one JSON row.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import re
import statistics
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.rules import read_texts
from common.command import table
from filters.contamination.index import Index, N, build
from filters.contamination.items import Item, read_items, task_files
from filters.contamination.matching import Hit, hits

DROPPED = ("verbatim", "partial")
_WORD = re.compile(r"[^\W_]+")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evals", required=True, help="eval files: a folder or glob")
    parser.add_argument("--crawl", required=True, help="glob of WARC files")
    parser.add_argument("--items", type=int, default=1500, help="items to plant, drawn from those that can be checked")
    parser.add_argument("--timed", type=int, default=400, help="pages to time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print the hits that a reader has to judge")
    options = parser.parse_args(arguments)

    items = [item for task, path in task_files(options.evals).items() for item in read_items(task, path)]
    pages = [text for text in read_texts(options.crawl, "resiliparse") if text]
    start = time.process_time()
    index = build(items)
    built_s = time.process_time() - start
    peer = PlainNgrams(items)
    recall = list(planted(items, pages, index, peer, count=options.items, dice=random.Random(options.seed)))
    print(table(recall))
    other = [*halves(items, random.Random(options.seed)), *clean(items, pages, index)]
    found = Counter((where, hit.kind) for where, _, hit, _ in other)
    print(table([{"where": where, "class": kind, "hits": count} for (where, kind), count in sorted(found.items())]))
    for where, item, hit, text in other if options.show else ():
        print(f"{where} {hit.kind} {hit.share:.2f} {item.task}/{item.id}: {item.parts.questions[0]!r:.200}")
        for begin, end in hit.spans[:2]:
            print(f"    {text[max(0, begin - 60) : end + 60]!r}")
    timed = pages[:: max(1, len(pages) // options.timed)]
    cost = {
        "ms_a_page": milliseconds(lambda text: hits(index, text), timed, options.repeats),
        "peer_ms_a_page": milliseconds(peer.items_in, timed, options.repeats),
        "words_a_page": round(statistics.mean(len(_WORD.findall(text)) for text in timed)),
    }
    print(table([cost]))
    head = {"benchmark": "contamination", "commit": _commit(), "python": platform.python_version()}
    size = {"items": len(items), "pages": len(pages), "n_grams": len(index.hashes), "build_s": round(built_s, 2)}
    size["index_bytes"] = sum(getattr(index, name).nbytes for name in Index.__dataclass_fields__)
    print(json.dumps(head | vars(options) | size | cost | {"recall": recall}))


def planted(
    items: Sequence[Item], pages: Sequence[str], index: Index, peer: PlainNgrams, *, count: int, dice: random.Random
) -> Iterator[dict[str, Any]]:
    """Recall of every way of printing: any hit, a hit that drops the document, and the peer's."""
    by_task = defaultdict(list)
    for item in items:
        by_task[item.task].append(item)
    checked = [number for number, found in enumerate(index.checked(len(items))) if found]
    checked = dice.sample(checked, min(count, len(checked)))
    ways: dict[str, Callable[[Item], str]] = {
        "verbatim": printed,
        "reflowed": lambda item: reflowed(printed(item), dice),
        "truncated": lambda item: " ".join(printed(item).split()[: len(printed(item).split()) // 2]),
        "listed": lambda item: "\n\n".join([*map(printed, dice.sample(by_task[item.task], 9)), printed(item)]),
    }
    for way, write in ways.items():
        any_hit = dropping = theirs = 0
        for number in checked:
            lines = dice.choice(pages).split("\n")
            lines.insert(dice.randrange(len(lines) + 1), write(items[number]))
            text = "\n".join(lines)
            kinds = {hit.kind for hit in hits(index, text) if hit.item == number}
            any_hit += bool(kinds)
            dropping += bool(kinds & set(DROPPED))
            theirs += number in peer.items_in(text)
        row = {"printed": way, "recall": any_hit / len(checked), "recall_dropping": dropping / len(checked)}
        yield row | {"peer": theirs / len(checked)}


def printed(item: Item) -> str:
    """An item as a page prints it."""
    return "\n".join(part for part in (item.parts.questions[-1], item.parts.answer) if part)


def reflowed(text: str, dice: random.Random) -> str:
    """The same words in another dress."""
    marks = {'"': dice.choice("“”«»"), "'": "’", "-": dice.choice("–—-"), ",": " ,", ".": " .", ":": " :"}
    dressed = "".join(marks.get(sign, sign) for sign in text)
    dressed = dice.choice((str.upper, str.lower, str))(dressed)
    words = dressed.split(" ")
    joints = dice.choices((" ", "\n", "  ", "\u00a0", "\n• ", " *"), (12, 3, 1, 1, 1, 1), k=len(words))
    return "".join(word + joint for word, joint in zip(words, joints, strict=True))


def halves(items: Sequence[Item], dice: random.Random) -> Iterator[tuple[str, Item, Hit, str]]:
    """Hits of one half of the items in pages that hold the other half."""
    order = dice.sample(items, len(items))
    known, others = order[::2], order[1::2]
    index = build(known)
    for item in others:
        text = f"{item.parts.passage}\n{printed(item)}"
        for hit in hits(index, text):
            yield "halves", known[hit.item], hit, text


def clean(items: Sequence[Item], pages: Sequence[str], index: Index) -> Iterator[tuple[str, Item, Hit, str]]:
    """Hits in pages as they are."""
    for text in pages:
        for hit in hits(index, text):
            yield "clean", items[hit.item], hit, text


class PlainNgrams:
    """The peer: sets of 13-grams."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._owners: dict[str, set[int]] = {}
        for number, item in enumerate(items):
            for gram in self._grams(printed(item)):
                self._owners.setdefault(gram, set()).add(number)

    def items_in(self, text: str) -> set[int]:
        found = self._grams(text) & self._owners.keys()
        return {number for gram in found for number in self._owners[gram]}

    @staticmethod
    def _grams(text: str) -> set[str]:
        words = _WORD.findall(text.lower())
        return {" ".join(words[place : place + N]) for place in range(len(words) - N + 1)}


def milliseconds(look: Callable[[str], Any], texts: Sequence[str], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        for text in texts:
            look(text)
        times.append((time.process_time() - start) / len(texts) * 1000)
    return round(statistics.median(times), 3)


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
