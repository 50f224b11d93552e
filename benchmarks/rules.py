"""Our quality rules beside datatrove's, in one run: do they agree, and what does a page cost?

    python benchmarks/rules.py --crawl 'crawl/pages-0*.warc.gz' --documents 400 --repeats 3

Every rule set is tried by itself on the extracted text, and then all four in the order of the FineWeb recipe, where a
page ends at its first rejection and C4 changes the text for those after it. Two agree on a page if both reject it or
both keep the same text. Each repeat starts with nothing remembered; times are of the process, medians of the repeats.
Prints a table, the disagreements, and last one JSON row.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common.command import table
from filters import english
from filters.extract import extract
from filters.rules import RULES, judge, make_rule
from filters.words import Words

Verdict = tuple[str | None, str]
"""Why the page is rejected, if it is; and the text that is kept."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawl", required=True, help="glob of WARC files")
    parser.add_argument("--extractor", default="resiliparse", choices=["resiliparse", "trafilatura"])
    parser.add_argument("--documents", type=int, default=400, help="spread evenly over the crawl; 0: all")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)

    texts = spread(list(read_texts(options.crawl, options.extractor)), options.documents)
    rows, disagreements = compare(texts, options.repeats)
    print(table(rows))
    for line in disagreements:
        print(line)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    figures = {"documents": len(texts), "repeats": options.repeats, "rows": rows, "disagreements": len(disagreements)}
    print(json.dumps({"benchmark": "rules", "commit": commit.stdout.strip()} | machine | vars(options) | figures))


def read_texts(crawl: str, extractor: Any) -> Iterator[str]:
    """Main texts of the pages of a crawl, in order."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    for path in sorted(Path().glob(crawl) if not Path(crawl).is_absolute() else Path("/").glob(crawl[1:])):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                yield extract(record.reader.read(), extractor, record.http_charset)


def spread(texts: list[str], count: int) -> list[str]:
    """``count`` of the texts, evenly spaced; all of them for 0."""
    return texts if not 0 < count < len(texts) else [texts[i * len(texts) // count] for i in range(count)]


def compare(texts: Sequence[str], repeats: int) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each rule set and one for all together; and a line for every text on which the two differ."""
    rows, disagreements = [], []
    for name in [*RULES, "together"]:
        names = list(RULES) if name == "together" else [name]
        ours, our_ms = run(our_rules(names), texts, repeats)
        theirs, their_ms = run(their_rules(names), texts, repeats)
        differing = [i for i in range(len(texts)) if not agree(ours[i], theirs[i])]
        disagreements += [f"{name}, text {i}: we say {ours[i][0]}, they {theirs[i][0]}" for i in differing]
        rows.append(
            {
                "rules": name,
                "agreement": 1 - len(differing) / len(texts),
                "differing": len(differing),
                "kept": sum(reason is None for reason, _ in ours),
                "ms a page": statistics.median(our_ms),
                "datatrove ms": statistics.median(their_ms),
                "ratio": statistics.median(their_ms) / statistics.median(our_ms),
            }
        )
    return rows, disagreements


def agree(ours: Verdict, theirs: Verdict) -> bool:
    """Both reject, or both keep the same text."""
    return (ours[0] is None) == (theirs[0] is None) and (ours[0] is not None or ours[1] == theirs[1])


def run(rules: Callable[[str], Verdict], texts: Sequence[str], repeats: int) -> tuple[list[Verdict], list[float]]:
    """Verdicts, and milliseconds a text of each repeat."""
    from datatrove.utils.text import split_into_parts

    milliseconds = []
    verdicts: list[Verdict] = []
    rules("Load what is loaded once.")
    for _ in range(repeats):
        english.forget()
        split_into_parts.cache_clear()
        start = time.process_time()
        verdicts = [rules(text) for text in texts]
        milliseconds.append((time.process_time() - start) / len(texts) * 1000)
    return verdicts, milliseconds


def our_rules(names: Sequence[str]) -> Callable[[str], Verdict]:
    """Our rule sets in order."""
    rules = [make_rule(name) for name in names]

    def verdict(text: str) -> Verdict:
        words, rejection = judge(rules, Words(text))
        return (rejection.reason if rejection else None), words.text

    return verdict


def their_rules(names: Sequence[str]) -> Callable[[str], Verdict]:
    """datatrove's filters in order; they keep the tokens of the last five texts, as in a pipeline of theirs."""
    from datatrove.data import Document
    from datatrove.pipeline import filters

    peers = {
        "gopher_repetition": filters.GopherRepetitionFilter,
        "gopher_quality": filters.GopherQualityFilter,
        "c4": filters.C4QualityFilter,
        "fineweb": filters.FineWebQualityFilter,
    }
    chain = [peers[name]() for name in names]

    def verdict(text: str) -> Verdict:
        document = Document(text=text, id="")
        for peer in chain:
            answer = peer.filter(document)
            if answer is not True:
                return answer[1], document.text
        return None, document.text

    return verdict


if __name__ == "__main__":
    main()
