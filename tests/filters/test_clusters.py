"""A job with near-duplicates, as its users see it: who stays, who is dropped for it, and how alike they are."""

import itertools
import json
import os
import re
import signal

import pyarrow.parquet as pq
import pytest

from common.errors import EduSieveError, SettingsError
from filters import educational, stages
from filters.cli import main
from filters.job import Job
from tests.filters.crawls import FakeScorer, prose

HOSTILE = "<script>alert(1)</script>"
EDIT = "Nobody has counted how many of them there are today."


@pytest.fixture(scope="module", autouse=True)
def fake_scorer():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(educational, "load_scorer", lambda classifier: FakeScorer())
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The manifest and the corpus of the documents in one file."""
    return make(tmp_path_factory.mktemp("made"))


def documents():
    """Two documents with edits of them, and others, in the order of the job."""
    river, lake = prose("river bank"), f"{prose('lake')}\n\nIt also says {HOSTILE} to whoever reads it."
    texts = {
        "river": river,
        "other": prose("some other hill"),
        "lake": lake,
        "river-edited": f"{river} {EDIT}",
        "river-copy": river,
        "river-edited-copy": f"{river} {EDIT}",
        "lake-edited": f"{EDIT} {lake}",
        "river-edited-otherwise": f"{EDIT} {river}",
    }
    return [{"id": name, "url": f"http://example.org/{name}", "text": text} for name, text in texts.items()]


def make(folder, cuts=(), **settings):
    """A corpus of the documents, in files that end at ``cuts``."""
    rows, bounds = documents(), [0, *cuts, len(documents())]
    for number, (low, high) in enumerate(itertools.pairwise(bounds)):
        (folder / "in").mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(row) + "\n" for row in rows[low:high]]
        (folder / "in" / f"{number}.jsonl").write_text("".join(lines))
    job = {"input": str(folder / "in"), "output": str(folder / "out"), "min_score": 0, "rules": [], **settings}
    return stages.run(Job.parse(job)), folder / "out"


def dropped(corpus):
    found = [row for part in sorted(corpus.glob("dropped/*.parquet")) for row in pq.read_table(part).to_pylist()]
    return {row["id"]: row for row in found}


def test_near_duplicates_name_the_first_of_the_job_and_how_alike_they_are(made):
    manifest, corpus = made
    found = dropped(corpus)
    named = {name: (row["reason"], row["detail"]) for name, row in found.items()}
    assert named == {
        "river-edited": ("near_duplicate", "river"),
        "river-copy": ("exact_duplicate", "river"),
        "river-edited-copy": ("near_duplicate", "river"),
        "lake-edited": ("near_duplicate", "lake"),
        "river-edited-otherwise": ("near_duplicate", "river"),
    }
    near = {name: row for name, row in found.items() if row["reason"] == "near_duplicate"}
    assert all(0.75 == row["limit"] <= row["value"] < 1 for row in near.values())
    assert near["river-edited"]["value"] == near["river-edited-copy"]["value"]
    assert found["river-copy"]["value"] == 2
    assert manifest["counts"] == {"read": 8, "kept": 3, "dropped": {"near_duplicate": 4, "exact_duplicate": 1}}
    assert manifest["near_duplicates"] == {
        "clusters": 2,
        "largest": [{"id": "river", "near_duplicates": 3}, {"id": "lake", "near_duplicates": 1}],
    }


def test_where_the_files_are_cut_and_who_works_does_not_matter(made, tmp_path):
    _, cut = make(tmp_path, [2, 6], executor={"workers": 2})
    one, three = (
        [(name, row["reason"], row["value"], row["detail"]) for name, row in dropped(corpus).items()]
        for corpus in (made[1], cut)
    )
    assert one == three


def die(values, folder, advance):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_whose_worker_is_killed_while_it_signs_ends_with_the_same_bytes(made, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("filters.stages.sign_file", die)
        with pytest.raises(EduSieveError, match="a worker was killed"):
            make(tmp_path)
    _, corpus = make(tmp_path)
    assert contents(corpus) == contents(made[1])


def contents(corpus):
    files = [
        path for path in corpus.rglob("*") if path.is_file() and ".work" not in path.parts and path.name != ".lock"
    ]
    return {path.relative_to(corpus): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("settings", "near", "exact"),
    [
        ({"minhash": False}, 0, 2),
        ({"exact": False}, 5, 0),
    ],
)
def test_each_kind_of_copy_can_be_let_be(tmp_path, settings, near, exact):
    manifest, corpus = make(tmp_path, deduplicate=settings)
    counts = manifest["counts"]["dropped"]
    assert (counts.get("near_duplicate", 0), counts.get("exact_duplicate", 0)) == (near, exact)
    assert ("Near-duplicates" in (corpus / "report.html").read_text()) == (near > 0)


def test_another_least_similarity_signs_nothing_again(tmp_path, monkeypatch):
    make(tmp_path)

    def must_not_run(*_):
        raise AssertionError("signed again")

    monkeypatch.setattr("filters.stages.sign_file", must_not_run)
    manifest, _ = make(tmp_path, deduplicate={"minhash": {"min_similarity": 0.99}})
    assert "near_duplicate" not in manifest["counts"]["dropped"]


def test_why_shows_the_cluster_of_the_one_that_stays_and_of_each_copy(made, capsys):
    _, corpus = made
    capsys.readouterr()
    clusters = []
    for name in ("river", "river-copy", "river-edited", "http://example.org/river-edited-otherwise"):
        assert main(["why", str(corpus), name, "--json"]) == 0
        clusters.append(json.loads(capsys.readouterr().out)["documents"][0]["cluster"])
    assert all(cluster == clusters[0] for cluster in clusters)
    assert clusters[0]["stays"] == "river"
    assert {copy["id"] for copy in clusters[0]["copies"]} == {name for name in dropped(corpus) if "river" in name}
    similarities = [copy["similarity"] for copy in clusters[0]["copies"]]
    assert similarities == sorted(similarities) and similarities[-1] == 1
    assert main(["why", str(corpus), "river-edited"]) == 0
    out = capsys.readouterr().out
    assert "dropped: near_duplicate, measured 0." in out and "limit 0.75 (river)" in out
    assert "cluster: river stays for 4, the least similar first:" in out
    assert main(["why", str(corpus), "other", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["documents"][0]["cluster"] is None


def test_the_report_quotes_the_largest_clusters_and_no_markup_of_them(made):
    _, corpus = made
    page = (corpus / "report.html").read_text()
    assert "4 documents are nearly the same as one of 2 that stay" in page
    assert "Stays: river" in page and "http://example.org/river-edited" in page and EDIT in page
    assert HOSTILE not in page and "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("minhash", "message"),
    [
        ({"similarity": 0.8}, "unknown key 'deduplicate.minhash.similarity'. Did you mean 'min_similarity'"),
        ({"min_similarity": 1.5}, "'deduplicate.minhash.min_similarity': Input should be less than or equal to 1"),
        ("yes please", "'deduplicate.minhash'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(minhash, message):
    values = {"input": "x", "output": "y", "min_score": 1, "deduplicate": {"minhash": minhash}}
    with pytest.raises(SettingsError, match=re.escape(message)):
        Job.parse(values)
