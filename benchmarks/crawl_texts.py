"""The main texts of a crawl's pages as JSONL: what calibrates the default's cascade, beside the pool.

    python -m benchmarks.crawl_texts --crawl 'crawl/pages-0*.warc.gz' --out crawl.jsonl

Texts of less than 400 characters and copies (by their first 200 letters and digits) are left out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.rules import read_texts
from classifiers.model import plain
from common.files import publish_file

MIN_CHARACTERS = 400
SAME_CHARACTERS = 200


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crawl", required=True, help="glob of WARC files")
    parser.add_argument("--out", required=True, type=Path, help="JSONL file to write")
    options = parser.parse_args(arguments)
    seen: set[str] = set()
    with publish_file(options.out) as temporary, temporary.open("w", encoding="utf-8") as out:
        for number, text in enumerate(read_texts(options.crawl, "resiliparse")):
            mark = plain(text)[:SAME_CHARACTERS]
            if len(text) >= MIN_CHARACTERS and mark not in seen:
                seen.add(mark)
                out.write(json.dumps({"id": f"page {number}", "text": text}, ensure_ascii=True) + "\n")


if __name__ == "__main__":
    main()
