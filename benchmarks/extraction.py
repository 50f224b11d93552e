"""How good and how fast are main-text extraction and language identification on pages with a known answer?

    python benchmarks/extraction.py --crawl 'crawl/pages-0*.warc.gz' --gold crawl/gold_text.jsonl.gz

Precision and recall compare bags of words with a person's cleaned text, page by page, and are averaged over pages.
"datatrove" is its own extractor on the same decoded page (trafilatura, favouring precision, deduplicating), called
without its time limit. Languages are told on the extracted and on the cleaned text; rows whose
language is unknown are left out. Times are of the process. Prints tables and last one JSON row.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common.command import table
from filters.extract import decode, extract
from filters.language import identify

_WORD = re.compile(r"\w+")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawl", required=True, help="glob of WARC files")
    parser.add_argument("--gold", required=True, help="JSONL with url, text and lang")
    parser.add_argument("--every", type=int, default=1, help="take one page of so many")
    options = parser.parse_args(arguments)

    with gzip.open(options.gold, "rt", encoding="utf-8") as lines:
        gold = {row["url"]: row for row in map(json.loads, lines)}
    pages = [page for page in read_pages(options.crawl) if page[0] in gold][:: options.every]
    from datatrove.pipeline.extractors import Trafilatura

    peer = Trafilatura()
    extractors: dict[str, Callable[[bytes, str | None], str]] = {
        "resiliparse": lambda html, charset: extract(html, "resiliparse", charset),
        "trafilatura": lambda html, charset: extract(html, "trafilatura", charset),
        "datatrove": lambda html, charset: peer.extract(decode(html, charset)) or "",
    }
    texts: dict[str, dict[str, str]] = {"cleaned by hand": {url: gold[url]["text"] for url, _, _ in pages}}
    rows = []
    identify("Load what is loaded once.")
    for name, extractor in extractors.items():
        extractor(b"<html><body><p>Load what is loaded once.</p></body></html>", None)
        start = time.process_time()
        texts[name] = {url: extractor(html, charset) for url, html, charset in pages}
        milliseconds = (time.process_time() - start) / len(pages) * 1000
        scores = [overlap(text, gold[url]["text"]) for url, text in texts[name].items()]
        means = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
        rows.append({"extractor": name} | dict(zip(("precision", "recall", "F1"), means, strict=True)))
        rows[-1] |= {"empty": sum(not text for text in texts[name].values()), "ms a page": milliseconds}
    languages = [languages_row(name, texts[name], gold) for name in texts if name != "datatrove"]
    print(table(rows), table(languages), sep="\n\n")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    head = {"benchmark": "extraction", "commit": commit.stdout.strip(), "machine": platform.machine()}
    print(json.dumps(head | vars(options) | {"pages": len(pages), "rows": rows, "languages": languages}))


def read_pages(crawl: str) -> Iterator[tuple[str, bytes, str | None]]:
    """URL, bytes and header's character set of every page, in order."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    for path in sorted(Path("/").glob(str(Path(crawl).absolute())[1:])):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                yield record.headers["WARC-Target-URI"], record.reader.read(), record.http_charset


def overlap(text: str, truth: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of a text's bag of words; an empty text against an empty truth is right."""
    found, wanted = (Counter(_WORD.findall(words.lower())) for words in (text, truth))
    if not found and not wanted:
        return 1.0, 1.0, 1.0
    common = (found & wanted).total()
    precision, recall = common / max(found.total(), 1), common / max(wanted.total(), 1)
    return precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0


def languages_row(name: str, texts: dict[str, str], gold: dict[str, Any]) -> dict[str, Any]:
    """Accuracy, and what a minimum probability of 0.65 does to pages of which the language is known."""
    known = [url for url in texts if gold[url]["lang"]]
    start = time.process_time()
    answers = [identify(texts[url]) for url in known]
    milliseconds = (time.process_time() - start) / len(known) * 1000
    right = [language == gold[url]["lang"] for url, (language, _) in zip(known, answers, strict=True)]
    sure = [probability >= 0.65 for _, probability in answers]
    return {
        "text": name,
        "pages": len(known),
        "accuracy": sum(right) / len(known),
        "right but unsure": sum(r and not s for r, s in zip(right, sure, strict=True)),
        "wrong but sure": sum(s and not r for r, s in zip(right, sure, strict=True)),
        "ms a page": milliseconds,
    }


if __name__ == "__main__":
    main()
