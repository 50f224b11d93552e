"""A plan as its user sees it: right within its intervals, beside what came out, and honest where it cannot know."""

import json
import random

import pytest

from common.files import read_json
from filters import cascading, educational, measuring
from filters.cli import main
from filters.outcome import outcome_rows, taken
from tests.filters.crawls import CascadeScorer, FakeScorer, html, http, packed, pages, prose, record, write_job

LIGHT = {"rules": ["c4"], "language": None, "personal_data": None}


@pytest.fixture(scope="module", autouse=True)
def fake_scorer():
    with pytest.MonkeyPatch.context() as patch:
        for module in (educational, cascading):
            patch.setattr(module, "load_scorer", lambda classifier: FakeScorer())
        yield


@pytest.fixture(scope="module")
def crawl(tmp_path_factory):
    """Good pages, copies and refused ones in three files, in no order."""
    pdf, gone = http(b"%PDF-1.4", "application/pdf"), http(b"gone", status="404 Not Found")
    others = [record(body, "http://a.example/", number=900 + n) for n, body in enumerate([pdf, gone] * 15)]
    twins = [record(http(html(prose(f"river {n}"))), "http://copy.example/", number=800 + n) for n in range(12)]
    records = [*pages(120), *others, *twins]
    random.Random(6).shuffle(records)
    folder = tmp_path_factory.mktemp("crawl")
    for number in range(3):
        (folder / f"{number}.warc.gz").write_bytes(packed(records[54 * number : 54 * number + 54]))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory, crawl):
    """A corpus that was planned before it was made."""
    folder = tmp_path_factory.mktemp("made")
    job = a_job(folder, crawl)
    assert main(["plan", str(job), "--sample-fraction", "0.4"]) == main(["run", str(job)]) == 0
    return folder / "out"


def a_job(folder, crawl, **settings):
    chosen = settings if "min_score" in settings else {"budget_tokens": 8_000, **settings}
    return write_job(folder / "job.yaml", chosen.pop("output", folder / "out"), crawl, **LIGHT, **chosen)


def planned(capsys, job, *options):
    capsys.readouterr()
    assert main(["plan", str(job), "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_plan_that_reads_everything_says_what_the_run_finds(tmp_path, capsys, crawl):
    job = a_job(tmp_path, crawl)
    plan = planned(capsys, job, "--sample-fraction", "1")
    assert plan["warnings"] == []
    assert main(["run", str(job)]) == 0
    rows = outcome_rows(tmp_path / "out", read_json(tmp_path / "out" / "manifest.json"))
    told = {row["figure"]: row for row in rows if row["found"] is not None}
    assert {"documents.read", "documents.dropped.exact_duplicate", "tokens.scored", "threshold"} <= told.keys()
    for name, row in told.items():
        # the last document of a budget may fit in part
        slack = {"documents.kept": 1, "documents.dropped.by_score": 1, "share.kept": 0.01, "tokens.kept": 300}
        assert row["inside"] or name.startswith(("core_hours", "bytes", "share.kept")), row
        assert row["predicted"] == pytest.approx(row["found"], abs=slack.get(name, 0.01)), row
    again = planned(capsys, job, "--sample-fraction", "1")
    assert again == plan  # what was scanned and scored, and what it took, is remembered


def test_most_figures_of_a_run_lie_in_the_intervals_of_its_plan(made):
    rows = outcome_rows(made, read_json(made / "manifest.json"))
    found = {row["figure"]: row["inside"] for row in rows if row["inside"] is not None}
    told = [inside for name, inside in found.items() if not name.startswith("core_hours")]  # the machine may be busy
    assert len(told) >= 12
    assert sum(told) / len(told) >= 0.85, found


def test_run_prints_and_reports_what_was_planned_and_what_came_out(made, crawl, capsys):
    capsys.readouterr()
    assert main(["run", str(made.parent / "job.yaml")]) == 0
    printed = capsys.readouterr().out
    assert "figures lie in their 95% intervals" in printed and "core_hours.scan" in printed
    page = (made / "report.html").read_bytes()
    assert b"Planned and found" in page
    assert main(["report", str(made)]) == 0
    unknown = "–</td>".encode()
    assert (made / "report.html").read_bytes().count(unknown) < page.count(unknown)  # now with hours and disk
    found = taken(made, read_json(made / "manifest.json"))
    assert found["core_hours"] == pytest.approx(sum(found[name] for name in found if name.startswith("core_hours.")))
    assert found["core_hours.scan"] > 0 and found["bytes.kept"] < found["bytes.disk"]


def test_a_plan_changes_no_document_and_one_for_another_budget_is_not_compared(made, tmp_path, crawl):
    job = a_job(tmp_path, crawl)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plan.json").write_bytes((made / "plan.json").read_bytes())
    assert main(["run", str(job), "--budget-tokens", "9_000"]) == 0
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert outcome_rows(tmp_path / "out", manifest) == []
    assert b"Planned and found" not in (tmp_path / "out" / "report.html").read_bytes()
    (tmp_path / "out" / "plan.json").unlink()
    assert main(["run", str(job)]) == 0
    parts = [sorted(path.read_bytes() for path in (folder).rglob("part-*")) for folder in (made, tmp_path / "out")]
    assert parts[0] == parts[1]


def test_the_same_seed_predicts_the_same_documents_with_any_number_of_workers(tmp_path, capsys, crawl):
    found = []
    for workers in ("1", "3"):
        options = ("--sample-fraction", "0.3", "--seed", "4", "--workers", workers, "--output", str(tmp_path / workers))
        plan = planned(capsys, a_job(tmp_path, crawl), *options)
        assert plan["workers"] == int(workers)
        kinds = ("documents", "tokens", "threshold", "share")
        found.append({name: ends for name, ends in plan["predictions"].items() if name.startswith(kinds)})
    assert found[0] == found[1]


def test_a_budget_over_the_pool_is_foretold(tmp_path, capsys, crawl):
    job = a_job(tmp_path, crawl, budget_tokens=10**9)
    plan = planned(capsys, job, "--sample-fraction", "0.4")
    assert any("cannot fill the budget: 1,000,000,000 tokens are wanted" in one for one in plan["warnings"])
    assert plan["predictions"]["tokens.kept"] == plan["predictions"]["tokens.scored"]


def test_every_corpus_of_a_job_with_budgets_has_its_plan_and_a_floor_holds_in_each(tmp_path, capsys, crawl):
    job = a_job(tmp_path, crawl, budget_tokens=None, budgets=[3_000, 20_000], min_score=3)
    plans = planned(capsys, job, "--sample-fraction", "1")["plans"]
    assert main(["run", str(job)]) == 2  # the larger one is more than there is from the floor on
    assert "20,000 but the pool holds only" in capsys.readouterr().err
    assert (
        main(["run", str(a_job(tmp_path, crawl, budget_tokens=3_000, min_score=3, output=f"{tmp_path}/out/3K"))]) == 0
    )
    small, large = (plans[f"{tmp_path}/out/{name}"] for name in ("3K", "20K"))
    assert outcome_rows(tmp_path / "out" / "3K", read_json(tmp_path / "out" / "3K" / "manifest.json")) != []
    assert 2_700 < small["predictions"]["tokens.kept"]["value"] <= 3_000
    assert large["predictions"]["threshold"]["value"] == 3
    assert large["predictions"]["tokens.kept"]["value"] < 20_000
    assert any("20,000 tokens are wanted" in one for one in large["warnings"])


def test_a_plan_of_a_job_with_quotas_says_that_it_leaves_them_out(tmp_path, capsys, crawl):
    job = a_job(tmp_path, crawl, quotas={"source": {"0*": "1/2", "*": "1/2"}})
    plan = planned(capsys, job, "--sample-fraction", "0.4")
    assert plan["key"] is None and any(one.startswith("quotas: ") for one in plan["warnings"])


def test_documents_with_eval_items_are_foretold(tmp_path, capsys, crawl):
    words = prose("river 3").split("\n\n")[0]
    (tmp_path / "sea.jsonl").write_text(json.dumps({"id": "river", "text": words, "answer": "an island"}) + "\n")
    job = a_job(tmp_path, crawl, decontaminate=str(tmp_path / "sea.jsonl"))
    plan = planned(capsys, job, "--sample-fraction", "1")["predictions"]
    assert main(["run", str(job)]) == 0
    rows = outcome_rows(tmp_path / "out", read_json(tmp_path / "out" / "manifest.json"))
    inside = {row["figure"]: row["inside"] for row in rows if row["figure"].startswith("documents.")}
    found = {row["figure"]: row["found"] for row in rows}
    assert plan["documents.dropped.contaminated"]["value"] == found["documents.dropped.contaminated"] > 0
    assert plan["core_hours.decontaminate"]["value"] > 0
    assert inside["documents.dropped.contaminated"] and inside["documents.scored"], inside
    (tmp_path / "sea.jsonl").write_text(json.dumps({"id": "lake", "text": words, "answer": "an island"}) + "\n")
    assert main(["run", str(job)]) == 0
    assert outcome_rows(tmp_path / "out", read_json(tmp_path / "out" / "manifest.json")) == []  # of other eval files


def test_another_input_is_predicted_in_proportion_and_compared_with_no_run(tmp_path, capsys, crawl):
    job = a_job(tmp_path, crawl, min_score=3)
    own = planned(capsys, job, "--sample-fraction", "0.4", "--duplicate-fraction", "0.1")["predictions"]
    options = ("--documents", "1_000_000", "--price-core-hour", "0.5", "--price-tb-month", "20")
    plan = planned(capsys, job, "--sample-fraction", "0.4", "--duplicate-fraction", "0.1", *options)
    other = plan["predictions"]
    times = 1_000_000 / own["documents.read"]["value"]
    assert plan["key"] is None
    assert other["documents.read"] == {"value": 1e6, "low": 1e6, "high": 1e6}
    for name in ("documents.kept", "tokens.scored", "bytes.disk"):
        assert other[name]["value"] == pytest.approx(times * own[name]["value"])
    assert 0.3 * times < other["core_hours.scan"]["value"] / own["core_hours.scan"]["value"] <= times  # as many files
    assert other["usd.cores"]["value"] == pytest.approx(other["core_hours"]["value"] * 0.5)
    assert other["usd.disk_month"]["value"] == pytest.approx(other["bytes.disk"]["value"] * 20e-12)
    assert other["usd"]["value"] == pytest.approx(other["usd.cores"]["value"] + other["usd.disk_month"]["value"])


def test_what_a_sample_cannot_tell_of_copies_is_said(tmp_path, capsys, crawl):
    job = a_job(tmp_path, crawl, min_score=3)
    plan = planned(capsys, job, "--sample-fraction", "0.2", "--total-bytes", "1_000_000_000")
    assert any("nobody can tell from this sample how many more" in warning for warning in plan["warnings"])
    assumed = planned(
        capsys, job, "--sample-fraction", "0.2", "--total-bytes", "1_000_000_000", "--duplicate-fraction", "0.5"
    )
    assert assumed["predictions"]["share.copies"]["value"] == pytest.approx(0.5)
    assert not any("nobody can tell" in warning for warning in assumed["warnings"])


def test_a_cascade_at_the_size_of_the_job_sends_fewer_to_the_full_model_than_on_the_sample(
    tmp_path, capsys, monkeypatch
):
    scorer = CascadeScorer()
    for module in (educational, cascading):
        monkeypatch.setattr(module, "load_scorer", lambda classifier: scorer)
    (tmp_path / "in.warc.gz").write_bytes(packed(pages(400)))
    job = a_job(tmp_path, tmp_path / "in.warc.gz", budget_tokens=10_000)
    small = planned(capsys, job, "--sample-fraction", "0.5")["predictions"]
    screened = list((tmp_path / "out" / ".work" / "plan").glob("*/screen/*-*"))
    assert len(screened) == 1  # one unit of the sample, scored once
    assert main(["run", str(job)]) == 0
    manifest = read_json(tmp_path / "out" / "manifest.json")
    found = {row["figure"]: row["found"] for row in outcome_rows(tmp_path / "out", manifest)}
    assert found["documents.full_model"] == manifest["cascade"]["scored_by_full"]
    assert taken(tmp_path / "out", manifest).keys() >= {"core_hours.screen", "core_hours.score"}
    monkeypatch.setattr(measuring, "seconds_of", lambda folders: 400.0)
    plan = planned(capsys, job, "--sample-fraction", "0.5", "--documents", "40_000", "--budget-tokens", "1_000_000")
    large = plan["predictions"]
    assert large["core_hours.screen"]["value"] > 0
    share = [one["documents.full_model"]["value"] / one["documents.scored"]["value"] for one in (small, large)]
    assert 0 < share[1] < share[0]
    asked = large["documents.full_model"]["value"] + 0.01 * large["documents.scored"]["value"]  # and the audit
    assert large["core_hours.score"]["value"] * 3600 == pytest.approx(asked * plan["seconds_each"]["score"], rel=0.01)
    steps = [ends["value"] for name, ends in large.items() if name.startswith("core_hours.")]
    assert large["core_hours"]["value"] == pytest.approx(sum(steps))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sample-fraction", "0.1", "--sample-bytes", "9"), "give sample_fraction or sample_bytes, not both"),
        (("--price-gpu-hour", "2"), "price_gpu_hour needs gpu_documents_s"),
        (("--sample-fraction", "0"), "sample_fraction"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, capsys, crawl, options, message):
    job = a_job(tmp_path, crawl)
    assert main(["plan", str(job), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
