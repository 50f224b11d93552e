"""Several budgets and quotas as the user of a job sees them: one scoring pass, each corpus whole and exact."""

import json

import pyarrow.parquet as pq
import pytest

from common.errors import SettingsError
from common.files import check_files
from filters import educational, stages
from filters.cli import main
from filters.job import Job
from tests.filters.crawls import FakeScorer, prose, write_job

BUDGETS = {"500": 500, "1K": 1000, "1500": 1500}
GERMAN = (
    "Diese Seite handelt von dem Fluss Nummer {0} und wurde für Menschen geschrieben, die noch nichts davon wissen. "
    "Im Frühling fällt viel Regen auf die Hügel, und das Wasser sucht sich einen Weg durch die alten Steine. "
    "Die Bauern im Tal haben gelernt, die Wolken zu lesen, lange bevor jemand ein Gerät dafür gebaut hatte."
)


@pytest.fixture(autouse=True)
def fake_scorer(monkeypatch):
    monkeypatch.setattr(educational, "load_scorer", lambda classifier: FakeScorer())


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    """English pages of a wiki and of the web, and German ones of the web."""
    folder = tmp_path_factory.mktemp("crawl")
    texts = {
        "wiki/a": [prose(f"hill {n}") for n in range(10)],
        "web/b": [prose(f"lake {n}") for n in range(10)] + [GERMAN.format(n) for n in range(10)],
    }
    for name, found in texts.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir()
        path.write_text("".join(json.dumps({"id": f"{name}-{n}", "text": text}) + "\n" for n, text in enumerate(found)))
    return folder


SETTINGS = {"rules": None, "deduplicate": {"minhash": False}, "language": {"keep": ["en", "de"]}}


def run(output, crawl, **settings):
    return stages.run_all(Job.parse({"input": str(crawl), "output": str(output), **SETTINGS, **settings}))


def corpus_bytes(output):
    files = [path for path in output.rglob("*") if path.is_file() and ".work" not in path.parts]
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in files if path.name != ".lock"}


def rows(output, kind=""):
    return [row for path in sorted(output.glob(f"{kind}part-*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_each_corpus_of_several_budgets_is_the_one_that_its_budget_alone_makes(tmp_path, crawl):
    manifests = run(tmp_path / "all", crawl, budgets=list(BUDGETS.values()), min_score=1)
    assert [path.rpartition("/")[2] for path in manifests] == list(BUDGETS)
    kept = []
    for (name, tokens), manifest in zip(BUDGETS.items(), manifests.values(), strict=True):
        run(tmp_path / name, crawl, budget_tokens=tokens, min_score=1)
        assert corpus_bytes(tmp_path / "all" / name) == corpus_bytes(tmp_path / name)
        check_files(tmp_path / "all" / name, manifest["files"])
        assert manifest["kept_tokens"] <= tokens == manifest["budget_tokens"]
        assert (
            manifest["counts"]["read"] == 30 == manifest["counts"]["kept"] + sum(manifest["counts"]["dropped"].values())
        )
        kept.append({row["id"] for row in rows(tmp_path / "all" / name)})
    assert kept[0] < kept[1] < kept[2]


def test_every_document_is_scored_once_whatever_is_asked_for_later(tmp_path, crawl, monkeypatch):
    out = tmp_path / "out"
    run(out, crawl, budgets=[500, 1500])
    scores = out / ".work" / "score"
    first = set(scores.iterdir())
    assert len(first) == 2  # one a file, whatever the number of budgets

    def must_not_run(*_):
        raise AssertionError("scanned or scored again")

    monkeypatch.setattr("filters.stages.scan.scan_file", must_not_run)
    monkeypatch.setattr("filters.cascading.score_file", must_not_run)
    run(out, crawl, budgets=[1000, 500])
    run(out, crawl, budget_tokens=700)
    run(out, crawl, budget_tokens=700, quotas={"source": {"wiki/*": 0.5, "*": 0.5}})
    assert set(scores.iterdir()) == first
    assert {path.name for path in out.iterdir() if path.is_dir()} >= {"500", "1K", "1500", "dropped"}


def test_a_budget_that_cannot_be_met_leaves_every_corpus_as_it_was(tmp_path, crawl):
    out = tmp_path / "out"
    run(out, crawl, budgets=[500, 1000])
    before = corpus_bytes(out)
    with pytest.raises(SettingsError, match="budget_tokens is 10, too little for the best"):
        run(out, crawl, budgets=[600, 10])
    with pytest.raises(SettingsError, match="budget_tokens is 1,000,000,000 but the pool holds only"):
        run(out, crawl, budgets=[600, 10**9])
    assert corpus_bytes(out) == before


def test_quotas_by_language_and_source_are_exact_and_every_row_says_what_it_missed(tmp_path, crawl):
    quotas = {"language": {"en": 0.8, "de": 0.2}, "source": {"wiki/*": 0.5, "*": 0.5}}
    with pytest.raises(SettingsError, match=r"quota language de, source wiki/\* of budget_tokens is 150 but .* 0 tok"):
        run(tmp_path / "out", crawl, budget_tokens=1500, quotas=quotas)
    (manifest,) = run(tmp_path / "out", crawl, budget_tokens=1500, quotas=quotas, when_short="keep_all").values()
    kept, dropped = rows(tmp_path / "out"), rows(tmp_path / "out", "dropped/")
    assert manifest["unfilled_tokens"] == 150
    for quota in manifest["quotas"]:
        wiki = quota["source"] == "wiki/*"

        def belongs(row, quota=quota, wiki=wiki):
            return row["language"] == quota["language"] and row["source_file"].startswith("wiki/") == wiki

        own, missed = [row for row in kept if belongs(row)], [row for row in dropped if belongs(row)]
        assert sum(row["token_count"] for row in own) == quota["kept_tokens"] <= quota["budget_tokens"]
        assert len(own) == quota["kept"]
        if own:
            assert min(row["score"] for row in own) == quota["threshold"]
            assert {row["limit"] for row in missed} == {quota["threshold"]}
            following = max(row["score"] for row in missed)
            longest = max(row["token_count"] for row in missed if row["score"] == following)
            assert quota["budget_tokens"] - quota["kept_tokens"] < longest
    assert "Quotas" in (tmp_path / "out" / "report.html").read_text()


def test_what_has_no_quota_is_dropped_for_that_and_never_scored(tmp_path, crawl, capsys):
    (manifest,) = run(tmp_path / "out", crawl, budget_tokens=700, quotas={"source": {"wiki/*": 1}}).values()
    assert manifest["counts"]["dropped"]["no_quota"] == 20
    assert {row["source_file"] for row in rows(tmp_path / "out")} == {"wiki/a.jsonl"}
    assert {row["score"] for row in rows(tmp_path / "out", "dropped/") if row["reason"] == "no_quota"} == {None}
    assert main(["why", str(tmp_path / "out"), "web/b-3"]) == 0
    assert capsys.readouterr().out.startswith("dropped: no_quota, measured 0, limit 1")


def test_a_lowest_score_and_a_budget_have_a_reason_each(tmp_path, crawl):
    (manifest,) = run(tmp_path / "out", crawl, budget_tokens=600, min_score=2).values()
    dropped = rows(tmp_path / "out", "dropped/")
    for row in dropped:
        limit = 2 if row["score"] < 2 else manifest["threshold"]
        reason = "below_min_score" if row["score"] < 2 else ("below_threshold", "tie_at_threshold")
        assert row["limit"] == limit and row["reason"] in reason
    assert {"below_min_score", "below_threshold"} <= {row["reason"] for row in dropped}


def test_run_prints_every_corpus_and_one_document_for_machines(tmp_path, crawl, capsys):
    job = write_job(tmp_path / "job.yaml", tmp_path / "out", crawl, **SETTINGS, budgets=[500, 1000])
    assert main(["run", str(job), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"] is False
    assert main(["run", str(job)]) == 0
    out = capsys.readouterr().out
    assert "of 500 tokens" in out and "of 1,000 tokens" in out and f"{tmp_path}/out/1K/report.html" in out
    assert main(["run", str(job), "--json"]) == 0
    corpora = json.loads(capsys.readouterr().out)["corpora"]
    assert {path: one["budget_tokens"] for path, one in corpora.items()} == {
        f"{tmp_path}/out/500": 500,
        f"{tmp_path}/out/1K": 1000,
    }
    assert main(["run", str(job), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"] is True


@pytest.mark.parametrize(
    "goal", [{"budget_tokens": 1500}, {"budget_tokens": 1500, "quotas": {"language": {"en": "4/5", "de": "1/5"}}}]
)
def test_a_document_that_holds_an_eval_item_never_counts_toward_a_budget(tmp_path, crawl, goal):
    plain = run(tmp_path / "plain", crawl, **goal)[f"{tmp_path}/plain"]
    best = sorted(rows(tmp_path / "plain"), key=lambda row: -row["score"])[:3]
    items = [{"id": row["id"], "text": row["text"].split("\n\n")[0], "answer": "an island"} for row in best]
    (tmp_path / "evals.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    manifest = run(tmp_path / "clean", crawl, decontaminate=str(tmp_path / "evals.jsonl"), **goal)[f"{tmp_path}/clean"]
    contaminated = {row["id"] for row in rows(tmp_path / "clean", "dropped/") if row["reason"].startswith("contamin")}
    assert {row["id"] for row in best} <= contaminated

    (tmp_path / "rest").mkdir()  # the same crawl without them makes the same corpus
    for name in ("wiki/a", "web/b"):
        lines = (crawl / f"{name}.jsonl").read_text().splitlines(keepends=True)
        path = tmp_path / "rest" / f"{name}.jsonl"
        path.parent.mkdir()
        path.write_text("".join(line for line in lines if json.loads(line)["id"] not in contaminated))
    rest = run(tmp_path / "less", tmp_path / "rest", **goal)[f"{tmp_path}/less"]
    kept = {row["id"]: row["token_count"] for row in rows(tmp_path / "clean")}
    assert kept == {row["id"]: row["token_count"] for row in rows(tmp_path / "less")}
    figures = ("kept_tokens", "threshold", "scored", "scored_tokens", "unfilled_tokens", "quotas")
    assert {name: manifest[name] for name in figures} == {name: rest[name] for name in figures}
    assert sum(kept.values()) == manifest["kept_tokens"] <= plain["budget_tokens"]


def test_of_a_document_that_a_span_is_cut_from_only_what_is_left_counts_toward_the_budget(tmp_path, crawl):
    from common.tokenizer import load_tokenizer

    last = prose("hill 3").split("\n\n")[1]
    (tmp_path / "evals.jsonl").write_text(json.dumps({"id": "x", "text": last, "answer": "an island"}) + "\n")
    cut = {"evals": str(tmp_path / "evals.jsonl"), "verbatim": "span", "partial": "span"}
    (manifest,) = run(tmp_path / "out", crawl, budget_tokens=1500, decontaminate=cut).values()
    kept = rows(tmp_path / "out")
    assert [row["token_count"] for row in kept] == [load_tokenizer().count(row["text"]) for row in kept]
    assert sum(row["token_count"] for row in kept) == manifest["kept_tokens"] <= 1500
    candidates = [row for row in rows(tmp_path / "out", "dropped/") if row["reason"] == "below_threshold"]
    following = max(candidates, key=lambda row: row["score"])
    assert manifest["kept_tokens"] + following["token_count"] > 1500 or manifest["ties"]
    texts = {row["id"]: row["text"] for row in [*kept, *rows(tmp_path / "out", "dropped/")]}
    assert last not in texts["wiki/a-3"] and prose("hill 3").split("\n\n")[0] in texts["wiki/a-3"]
