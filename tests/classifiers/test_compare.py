import contextlib
import io
import json
import random

import pytest

from classifiers.cli import main
from classifiers.labels import gather
from classifiers.recipe import Recipe
from classifiers.training import prepare, train
from tests.classifiers.helpers import grading, text_of_grade

HOSTILE = " <script>alert(1)</script><img src=x onerror=alert(2)>"


def run(capsys, *words: object) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory, trained):
    out = tmp_path_factory.mktemp("compare") / "good"
    trained[0].save(out)
    return out


@pytest.fixture(scope="module")
def bad(tmp_path_factory, tiny_encoder):
    """Trained on the same documents, but two grades of three were drawn by lot."""
    lot = random.Random(1)
    grades = [number % 6 if number % 3 == 0 else lot.randrange(6) for number in range(120)]
    labels = gather(grading(number) | {"score": grade} for number, grade in enumerate(grades))
    recipe = Recipe(encoder=str(tiny_encoder), layers=(1, 2), static_dimensions=8, folds=3, head="ridge")
    out = tmp_path_factory.mktemp("compare") / "bad"
    train(prepare(recipe, labels), labels)[0].save(out)
    return out


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """New labels, ten of them known from training, and a pool of two sources with hostile texts and names."""
    folder = tmp_path_factory.mktemp("inputs")
    labels = write(folder / "new.jsonl", [grading(number) for number in (*range(10), *range(300, 400))])
    rows = [
        {
            "id": f"n{n}<b>",
            "text": text_of_grade(n % 6, 900 + n, words=30 + n % 40) + HOSTILE * (n % 2),
            "source": "<i>shop</i>" if n % 3 else "school",
        }
        for n in range(240)
    ]
    return "--labels", labels, "--pool", write(folder / "pool.jsonl", rows)


@pytest.fixture(scope="module")
def stopped(good, bad, inputs, tmp_path_factory):
    """Exit status, JSON and page of one comparison that the challenger loses."""
    page, out = tmp_path_factory.mktemp("page") / "page.html", io.StringIO()
    words = ("compare", good, bad, *inputs, "--keep-fraction", "0.3", "--samples", "4", "--page", page, "--json")
    with contextlib.redirect_stdout(out):
        status = main([str(word) for word in words])
    return status, json.loads(out.getvalue()), page


def test_a_worse_challenger_is_stopped_by_the_exit_status(stopped):
    status, found, _ = stopped
    assert (status, found["gate"]["verdict"], found["gate"]["passed"]) == (1, "worse", False)
    assert found["gate"]["gain"] == found["figures"]["auc"]["gain"]
    assert found["figures"]["auc"]["gain"]["high"] < 0
    assert (found["labels"]["documents"], found["labels"]["left_out"]) == (100, 10)


def test_what_is_kept_fits_the_share_of_the_tokens_and_adds_up(stopped):
    _, found, _ = stopped
    kept = found["kept"]
    assert (found["rule"], kept["pool"]["documents"]) == ({"keep_fraction": 0.3}, 240)
    for side, own in (("champion", "lost"), ("challenger", "gained")):
        assert 0.28 < kept[side]["tokens"] / kept["pool"]["tokens"] <= 0.3
        assert kept[side]["documents"] == kept["both"]["documents"] + kept[own]["documents"]
    assert [row["source"] for row in found["drift"]] == ["all documents", "<i>shop</i>", "other sources (1)"]
    assert sum(row["changed"] for row in found["drift"][1:]) == found["drift"][0]["changed"]
    assert found["drift"][0]["changed"] == kept["gained"]["documents"] + kept["lost"]["documents"] > 0


def test_the_page_quotes_hostile_texts_inertly(stopped):
    page = stopped[2].read_text()
    assert page.count("&lt;script&gt;alert(1)") > 0
    assert page.count("&lt;b&gt;") == 8
    assert "<script" not in page
    assert "onerror=alert(2)>" not in page
    assert "<i>shop" not in page
    assert "The challenger is worse in AUC" in page
    assert str(stopped[2].parent) not in page


def test_the_same_inputs_give_the_same_page_whatever_the_threads(stopped, good, bad, inputs, tmp_path, capsys):
    words = ("compare", good, bad, *inputs, "--keep-fraction", "0.3", "--samples", "4", "--threads", "2")
    status, out, _ = run(capsys, *words, "--page", tmp_path / "again.html", "--json")
    assert (tmp_path / "again.html").read_bytes() == stopped[2].read_bytes()
    assert (status, json.loads(out) | {"page": None}) == (1, stopped[1] | {"page": None})


def test_a_better_challenger_passes_and_a_table_says_so(good, bad, inputs, capsys):
    status, out, _ = run(capsys, "compare", bad, good, *inputs)
    assert status == 0
    assert "The challenger is better in AUC at ≥ 3: gain +" in out.splitlines()[-1]
    assert "gained: challenger only" in out


def test_the_primary_metric_decides_and_a_loss_within_the_margin_passes(good, bad, inputs, capsys):
    words = ("compare", good, bad, *inputs, "--primary", "mean_absolute_error", "--margin", "4", "--json")
    status, out, _ = run(capsys, *words)
    found = json.loads(out)
    assert (status, found["gate"]["primary"], found["gate"]["verdict"]) == (0, "mean_absolute_error", "not worse")
    assert found["gate"]["gain"] == found["figures"]["mean_absolute_error"]["gain"]
    assert found["gate"]["gain"]["high"] < 0


def test_the_scores_at_a_threshold_are_those_of_classifiers_score(good, bad, inputs, tmp_path, capsys):
    import pyarrow.parquet as pq

    _, out, _ = run(capsys, "compare", good, bad, *inputs, "--threshold", "2.5", "--json")
    kept = json.loads(out)["kept"]
    for name, classifier in (("champion", good), ("challenger", bad)):
        words = ("score", "--input", inputs[-1], "--out", tmp_path / "s.parquet", "--classifier", classifier)
        assert run(capsys, *words)[0] == 0
        scores = pq.read_table(tmp_path / "s.parquet")["score"].to_numpy()
        assert kept[name]["documents"] == (scores >= 2.5).sum() > 0


def test_a_classifier_is_not_worse_than_itself(good, inputs, tmp_path, capsys):
    status, out, _ = run(capsys, "compare", good, good, *inputs, "--page", tmp_path / "p.html")
    assert status == 0
    assert "Both are the same classifier" in out
    assert "not worse in AUC at ≥ 3: gain +0.0000 [+0.0000, +0.0000]" in out
    assert "None." in (tmp_path / "p.html").read_text()


def test_few_labels_are_pointed_out(good, bad, inputs, tmp_path, capsys):
    few = write(tmp_path / "few.jsonl", [grading(number) for number in range(300, 330)])
    _, out, _ = run(capsys, "compare", good, bad, "--labels", few, *inputs[2:])
    assert "Only 15 of 30 labels stand on one side of grade 3" in out


def test_a_dry_run_counts_and_writes_nothing(good, bad, inputs, tmp_path, capsys):
    words = ("compare", good, bad, *inputs, "--page", tmp_path / "p.html", "--dry-run", "--json")
    status, out, _ = run(capsys, *words)
    plan = json.loads(out)
    assert (status, plan["labels"], plan["labels_left_out"], plan["pool_documents"]) == (0, 100, 10, 240)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--labels", "KNOWN"], "none of the 120 labels is new to both classifiers"),
        (["--labels", "nowhere.jsonl"], "nowhere.jsonl does not exist"),
        (["--labels", "BARE"], "AUC at ≥ 3 is undefined on these labels"),
        (["--pool", "nowhere/*.jsonl"], "nowhere/*.jsonl matches no file"),
        (["--pool", "EMPTY"], "holds no documents"),
        (["--page", "page.pdf"], "--page must be a file that ends in .html, got page.pdf"),
        (["--page", "empty.jsonl/page.html"], "empty.jsonl is not a folder that you may write to"),
        (["--keep-fraction", "0.2", "--threshold", "3"], "keep_fraction 0.2 and threshold 3 exclude each other"),
        (["--keep-fraction", "1.5"], "less than 1"),
        (["--keep-fraction", "0.00001"], "holds not one document"),
        (["--primary", "acu"], "auc"),
        (["--margin", "-1"], "greater than or equal to 0"),
        (["--source-column", "sorce"], "no field 'sorce'"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    words, complaint, good, bad, inputs, labels_file, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    bare = [grading(number) for number in range(300, 330) if number % 6 < 3]
    places = {"KNOWN": labels_file, "EMPTY": write(tmp_path / "empty.jsonl", [])}
    places["BARE"] = write(tmp_path / "bare.jsonl", bare)
    before = sorted(tmp_path.iterdir())
    given = {"--labels": inputs[1], "--pool": inputs[3], "--page": "page.html"}
    given |= {words[i]: places.get(words[i + 1], words[i + 1]) for i in range(0, len(words), 2)}
    status, out, err = run(capsys, "compare", good, bad, *(w for pair in given.items() for w in pair))
    assert (status, out) == (2, "")
    assert complaint in err
    problem = [line for line in err.splitlines() if line.startswith("classifiers:")]
    assert len(problem) == 1
    assert "Traceback" not in err
    assert sorted(tmp_path.iterdir()) == before


def test_the_default_may_be_named_on_either_side(inputs, tmp_path, capsys):
    words = ("compare", "default", "default", *inputs, "--dry-run", "--json")
    status, out, _ = run(capsys, *words)
    plan = json.loads(out)
    assert status == 0
    assert plan["champion"] == plan["challenger"]
