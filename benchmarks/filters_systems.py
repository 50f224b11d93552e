"""One run of one system of `benchmarks/filters.py`: its settings come in a file, and its results go into one.

python -m benchmarks.filters_systems datatrove settings.json result.json
"""

from __future__ import annotations

import gzip
import json
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common.files import read_json
from filters.spending import seconds_of

STEPS = ("scan", "sign", "screen", "score", "write")
Settings = Mapping[str, Any]


def main() -> None:
    system, settings, result = sys.argv[1:]
    found = SYSTEMS[system](json.loads(Path(settings).read_text()))
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    found["CPU seconds"] = sum(used.ru_utime + used.ru_stime for used in (own, children))
    found |= {"leader MB": own.ru_maxrss / 1024, "worker MB": children.ru_maxrss / 1024}
    Path(result).write_text(json.dumps(found))


def datatrove(settings: Settings) -> dict[str, Any]:
    """FineWeb's recipe up to its rules (examples/fineweb.py of datatrove), a task a file, one worker.

    Args:
        settings: ``input`` (folder of WARC files), ``output`` and ``language_model`` (lid.176).
    """
    import tldextract
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline import filters
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.readers import WarcReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.lid import FT176LID

    crawl, output = Path(settings["input"]), Path(settings["output"])
    FT176LID.MODEL_URL = settings["language_model"]

    def dropped(name: str) -> JsonlWriter:
        return JsonlWriter(str(output / "dropped" / name))

    addresses = filters.URLFilter(exclusion_writer=dropped("url"))
    addresses.tldextractor = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # its own list, no network
    pipeline = [
        WarcReader(str(crawl), glob_pattern="*.warc.gz"),
        addresses,
        Trafilatura(favour_precision=True),
        filters.LanguageFilter("en", exclusion_writer=dropped("language")),
        filters.GopherRepetitionFilter(exclusion_writer=dropped("gopher_repetition")),
        filters.GopherQualityFilter(exclusion_writer=dropped("gopher_quality")),
        filters.C4QualityFilter(filter_no_terminal_punct=False, exclusion_writer=dropped("c4")),
        filters.FineWebQualityFilter(exclusion_writer=dropped("fineweb")),
        JsonlWriter(str(output / "kept")),
    ]
    tasks = len(list(crawl.glob("*.warc.gz")))
    LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=str(output / "logs")).run()
    rows = {kind: sum(map(_lines, (output / kind).rglob("*.jsonl.gz"))) for kind in ("kept", "dropped")}
    return {"written": sum(rows.values()), "passed": rows["kept"]}


def ours(settings: Settings) -> dict[str, Any]:
    """`filters run` of a job, whose output is new; ``settings`` are the job's."""
    from filters.cli import main as command

    output = Path(settings["output"])
    job = output.with_suffix(".yaml")
    job.write_text(json.dumps(settings))
    if command(["run", str(job)]):
        raise SystemExit("the job failed")
    manifest = read_json(output / "manifest.json")
    spent = {step: seconds_of((output / ".work").glob(f"{step}/*")) for step in STEPS}
    found = {"written": manifest["counts"]["read"], "passed": manifest["scored"], "tokens": manifest["scored_tokens"]}
    return found | {"sent": (manifest["cascade"] or {}).get("scored_by_full"), "spent": spent}


def ours_unscored(settings: Settings) -> dict[str, Any]:
    """The same with a scorer that costs nothing."""
    from filters import educational
    from tests.filters.crawls import FakeScorer

    educational.load_scorer = lambda classifier: FakeScorer()  # type: ignore[assignment]
    return ours(settings)


def _lines(path: Path) -> int:
    with gzip.open(path) as stream:
        return sum(1 for _ in stream)


SYSTEMS: Mapping[str, Callable[[Settings], dict[str, Any]]] = {
    "datatrove": datatrove,
    "ours": ours,
    "unscored": ours_unscored,
}

if __name__ == "__main__":
    main()
