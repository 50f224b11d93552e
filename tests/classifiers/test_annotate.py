import gzip
import json
import time
from collections import Counter

import pyarrow.parquet as pq
import pytest

from classifiers.cli import main
from classifiers.labels import read_labels
from classifiers.prompt import PROMPT_SHA256
from classifiers.rubric import RUBRIC_SHA256
from common.files import check_files
from tests.classifiers.chat_server import RESET, chat, chat_server, error, grade_of, graded, reply

DOCUMENTS = [
    {"id": f"d{i}", "text": f"Lesson {i}. " + "Cells divide because they grow. " * 80, "kind": f"k{i % 2}"}
    for i in range(12)
]
PRICES = ["--price-in", "2", "--price-out", "8"]
PRICE_USD = (1000 * 2 + 20 * 8) / 1e6


@pytest.fixture
def quick(monkeypatch):
    """Pauses that do not make a test wait."""
    monkeypatch.setattr("classifiers.grading.backoff_s", lambda failures, wait_s, chance: 0.01)


@pytest.fixture
def run(tmp_path, capsys):
    """``run(server, *options, documents=…, out=…)`` → exit status, result, last line of stderr."""

    def go(server, *options, documents=DOCUMENTS, out="labels.jsonl", model="judge"):
        source = tmp_path / "documents.jsonl"
        source.write_text("".join(json.dumps(document) + "\n" for document in documents))
        where = ["--input", str(source), "--out", str(tmp_path / out), "--base-url", server.url, "--model", model]
        capsys.readouterr()
        status = main(["annotate", *where, "--json", *options])
        printed = capsys.readouterr()
        return status, json.loads(printed.out or "null"), (printed.err.strip().splitlines() or [""])[-1]

    return go


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_documents_become_a_labels_table_of_exactly_what_was_graded(run, tmp_path):
    with chat_server() as server:
        status, result, _ = run(server, out="labels.parquet")
    assert status == 0
    assert result["counts"] == {"documents": 12, "empty": 0, "windows": 12, "gradings": 12, "failed": 0, "ungraded": 0}
    table = pq.read_table(tmp_path / "labels.parquet").to_pylist()
    assert [row["id"] for row in table] == [document["id"] for document in DOCUMENTS]
    for row, document in zip(table, DOCUMENTS, strict=True):
        assert row["text"] == document["text"][:1500]
        assert row["score"] == grade_of(document["text"][:1500])
        assert (row["annotator"], row["rubric_sha256"], row["kind"]) == ("judge", RUBRIC_SHA256, document["kind"])
        assert row["reason"] == "as the server sees it"
    assert {asked.text for asked in server.asked} == {row["text"] for row in table}
    assert (result["rubric_sha256"], result["prompt_sha256"]) == (RUBRIC_SHA256, PROMPT_SHA256)
    check_files(tmp_path, result["files"])
    assert json.loads((tmp_path / "labels.manifest.json").read_text()) == result
    (tmp_path / "documents.jsonl").unlink()
    assert read_labels(tmp_path / "labels.parquet").scores.tolist() == read_labels(str(tmp_path)).scores.tolist()


def test_a_request_is_what_the_protocol_says(run, monkeypatch):
    monkeypatch.setenv("GRADER_KEY", "sk-1")
    with chat_server() as server:
        run(server, "--api-key-env", "GRADER_KEY", "--extra", '{"top_p": 0.5, "max_tokens": null}', "--sample", "1")
        run(server, "--temperature", "0.7", "--max-reply-tokens", "99", "--sample", "1")
    first, second = server.asked
    assert (first.path, first.headers["Authorization"]) == ("/v1/chat/completions", "Bearer sk-1")
    assert first.body == {"model": "judge", "messages": first.body["messages"], "temperature": 0.0, "top_p": 0.5}
    assert (second.body["temperature"], second.body["max_tokens"], second.headers["Authorization"]) == (0.7, 99, None)


def test_the_key_is_in_no_file_and_no_output(run, tmp_path, monkeypatch, quick):
    monkeypatch.setenv("GRADER_KEY", "sk-very-secret")
    answers = iter([error(429, "no more for sk-very-secret", {"Retry-After": "0"})] * 3)
    with chat_server(lambda asked: next(answers, None) or graded(asked)) as server:
        status, result, _ = run(server, "--api-key-env", "GRADER_KEY")
    with chat_server(lambda asked: error(401, "wrong key sk-very-secret")) as server:
        bad = run(server, "--api-key-env", "GRADER_KEY", out="other.jsonl")
    assert (status, bad[0]) == (0, 2)
    assert "sk-very-secret" not in json.dumps([result, bad])
    assert all(b"sk-very" not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(run, tmp_path):
    with chat_server() as server:
        _, first, _ = run(server, *PRICES)
        before = (tmp_path / "labels.jsonl").read_bytes()
        _, second, _ = run(server, *PRICES)
    assert (len(server.asked), second) == (12, first)
    assert (tmp_path / "labels.jsonl").read_bytes() == before
    assert first["cost"]["paid_usd"] == pytest.approx(12 * PRICE_USD)


def test_the_concurrency_changes_no_byte_and_is_used(run, tmp_path):
    with chat_server(lambda asked: graded(asked, wait_s=0.05)) as server:
        run(server, "--concurrency", "1", out="one.jsonl.gz")
        assert server.most_at_once == 1
        run(server, "--concurrency", "6", out="six.jsonl.gz")
        assert 4 <= server.most_at_once <= 6
    one, six = ((tmp_path / name).read_bytes() for name in ("one.jsonl.gz", "six.jsonl.gz"))
    assert one == six and len(gzip.decompress(one).splitlines()) == 12


def test_more_documents_later_cost_only_what_is_new(run):
    with chat_server() as server:
        run(server, documents=DOCUMENTS[:5])
        _, result, _ = run(server, documents=[DOCUMENTS[9], *DOCUMENTS])
    assert result["counts"]["gradings"] == 12
    assert set(server.texts.values()) == {1} and len(server.texts) == 12


def test_documents_with_one_window_share_one_grading(run, tmp_path):
    same = [{"id": name, "text": DOCUMENTS[0]["text"] + name} for name in "abc"]
    with chat_server() as server:
        _, result, _ = run(server, documents=[*same, same[0]])
    assert (len(server.asked), result["counts"]["gradings"]) == (1, 3)
    assert [row["id"] for row in rows(tmp_path / "labels.jsonl")] == ["a", "b", "c"]


def test_empty_documents_are_counted_and_never_asked_about(run):
    with chat_server() as server:
        status, result, _ = run(server, documents=[DOCUMENTS[0], {"id": "e", "text": " \n"}])
        assert (status, result["counts"]["empty"], len(server.asked)) == (0, 1, 1)
        status, _, line = run(server, documents=[{"id": "e", "text": ""}], out="none.jsonl")
    assert status == 2 and "holds no text to grade (1 documents, 1 of them empty)" in line


def test_the_window_is_cut_as_told(run):
    with chat_server() as server:
        run(server, "--characters", "10", documents=DOCUMENTS[:2])
    assert {asked.text for asked in server.asked} == {"Lesson 0. ", "Lesson 1. "}


def test_a_sample_depends_on_the_seed_and_not_on_the_order(run, tmp_path):
    def sample(seed, documents):
        run(server, "--sample", "4", "--seed", seed, documents=documents)
        return {row["id"] for row in rows(tmp_path / "labels.jsonl")}

    with chat_server() as server:
        first = sample("1", DOCUMENTS)
        assert len(first) == 4 and sample("1", DOCUMENTS[::-1]) == first
        assert sample("2", DOCUMENTS) != first


def test_several_models_and_turns_are_annotators_and_their_agreement_is_shown(run, tmp_path):
    def behave(asked):
        kinder = asked.model == "kind" and grade_of(asked.text) < 5
        return chat(json.dumps({"score": grade_of(asked.text) + kinder}))

    with chat_server(behave) as server:
        status, result, _ = run(server, "--model", "kind", "--gradings", "2", "--temperature", "1")
    assert status == 0 and len(server.asked) == 48
    names = [row["annotator"] for row in rows(tmp_path / "labels.jsonl")][:4]
    assert names == ["judge", "judge#2", "kind", "kind#2"]
    figures = {(row["first"], row["second"]): row for row in result["agreement"]}
    raised = sum(grade_of(document["text"][:1500]) < 5 for document in DOCUMENTS)
    assert figures["judge", "judge#2"] | {"quadratic_kappa": 1.0, "exact": 1.0} == figures["judge", "judge#2"]
    assert figures["judge", "kind"]["exact"] == round(1 - raised / 12, 4)
    assert figures["judge", "kind"]["within_one"] == 1.0
    assert figures["all pairs", ""]["windows"] == 6 * 12


def test_a_malformed_reply_is_asked_again_and_then_kept_aside(run, tmp_path):
    tries = Counter()

    def behave(asked):
        tries[asked.text] += 1
        if asked.text.startswith("Lesson 3."):
            return chat("I refuse to grade. Score: 5 or so <script>" + "x" * 10_000)
        if asked.text.startswith("Lesson 4.") and tries[asked.text] < 3:
            return reply(200, b'{"choices": [{"mess')
        return graded(asked)

    with chat_server(behave) as server:
        status, result, _ = run(server, *PRICES, "--max-failed-fraction", "0.1")
        (failure,) = rows(tmp_path / "labels.failures.ndjson")
        assert (failure["id"], failure["replies"], failure["annotator"]) == ("d3", 3, "judge")
        assert failure["reply"].startswith("I refuse") and len(failure["reply"]) == 500
        assert (status, result["counts"]["gradings"], result["counts"]["failed"]) == (0, 11, 1)
        assert max(tries.values()) == 3 and "exactly of this form" in server.asked[-1].user + server.asked[-2].user
        # every reply was paid for; the two whose usage could not be read count with the longest reply
        assert result["cost"]["answered"] == 16
        assert 16 * PRICE_USD * 0.9 < result["cost"]["paid_usd"] < 16 * PRICE_USD * 2
        asked = len(server.asked)
        assert run(server, "--max-failed-fraction", "0")[0] == 1
        assert len(server.asked) == asked, "a failure is remembered"
        server.behave = graded
        status, result, _ = run(server, "--retry-failures")
    assert (status, result["counts"]["failed"], len(server.asked)) == (0, 0, asked + 1)
    assert (tmp_path / "labels.failures.ndjson").read_text() == ""


def test_a_server_that_misbehaves_in_every_way_costs_no_window(run, tmp_path, quick):
    tricks = {
        0: error(429, "slow down", {"Retry-After": "0"}),
        1: error(500, "oops"),
        2: graded,
        3: reply(200, b'{"choices": [{"mess'),
        4: reply(200, {"object": "list", "data": []}),
        5: chat('{"score": 3.5}'),
        6: RESET,
        7: reply(200, b"x" * (2 << 20)),
        8: reply(503, b"<html>busy</html>"),
        9: reply(200, {"choices": []}, declared_bytes=5000),
        10: chat(None),
        11: "hang",
    }
    seen = Counter()

    def behave(asked):
        seen[asked.text] += 1
        number = int(asked.text.split(".")[0].split()[1])
        trick = tricks[number] if seen[asked.text] == 1 else graded
        return graded(asked, wait_s=2.5) if trick == "hang" else graded(asked) if trick is graded else trick

    with chat_server(behave) as server:
        status, result, _ = run(server, *PRICES, "--timeout-s", "1")
    assert (status, result["counts"]["gradings"], result["counts"]["failed"]) == (0, 12, 0)
    assert all(row["score"] == grade_of(row["text"]) for row in rows(tmp_path / "labels.jsonl"))
    assert set(seen.values()) == {1, 2}
    cost = result["cost"]
    assert (cost["requests"], cost["unanswered"], cost["answered"]) == (23, 3, 17)
    assert cost["maybe_paid_usd_at_most"] > 0


def test_a_pause_that_one_request_is_told_of_holds_for_all(run):
    times = []

    def behave(asked):
        times.append(time.monotonic())
        return error(429, "slow down", {"Retry-After": "1"}) if len(times) == 2 else graded(asked, wait_s=0.2)

    with chat_server(behave) as server:
        status, result, _ = run(server, "--concurrency", "2")
    after = [moment - times[1] for moment in times[2:]]
    assert (status, result["counts"]["gradings"]) == (0, 12)
    assert sum(moment < 0.99 for moment in after) <= 1, "only the request that was in flight"


@pytest.mark.parametrize(("status", "hint"), [(401, "--api-key-env"), (404, "--model"), (400, "no such model")])
def test_a_refusal_stops_the_run_with_one_request_and_one_line(run, tmp_path, status, hint):
    with chat_server(lambda asked: error(status, "no such model")) as server:
        code, result, line = run(server)
    assert (code, result, len(server.asked)) == (2, None, 1)
    assert line.startswith("classifiers: 127.0.0.1") and f"HTTP {status}: no such model" in line and hint in line
    assert not (tmp_path / "labels.jsonl").exists()


def test_a_server_that_is_down_stops_the_run_and_loses_nothing(run, quick):
    with chat_server(lambda asked: graded(asked) if len(server.asked) <= 4 else error(500, "down")) as server:
        code, _, line = run(server, "--retries", "2", "--concurrency", "1")
        assert code == 2 and "no answer to 3 windows in a row, each tried 3 times: HTTP 500: down" in line
        assert line.endswith("; 4 gradings are kept; run the same command to go on")
        server.behave = graded
        code, result, _ = run(server)
    assert (code, result["counts"]["gradings"], sum(server.texts.values())) == (0, 12, 4 + 9 + 8)


def test_one_window_that_the_server_cannot_take_is_a_failure_of_this_run_only(run, tmp_path, quick):
    def behave(asked):
        return error(500, "crash") if asked.text.startswith("Lesson 3.") else graded(asked)

    with chat_server(behave) as server:
        code, result, _ = run(server, "--retries", "1")
        assert (code, result["counts"]["gradings"], result["counts"]["failed"]) == (1, 11, 1)
        assert rows(tmp_path / "labels.failures.ndjson")[0]["problem"] == "HTTP 500: crash"
        server.behave = graded
        assert run(server)[1]["counts"]["failed"] == 0


def test_a_window_that_the_content_policy_forbids_is_kept_aside_for_good(run):
    def behave(asked):
        forbidden = asked.text.startswith("Lesson 3.")
        return error(400, "filtered", code="content_filter") if forbidden else graded(asked)

    with chat_server(behave) as server:
        assert [run(server)[1]["counts"]["failed"] for _ in range(2)] == [1, 1]
    assert len(server.asked) == 12


def test_a_model_that_never_grades_is_not_paid_for_long(run):
    many = [{"id": str(i), "text": f"Text number {i}."} for i in range(200)]
    with chat_server(lambda asked: chat("Nice text!")) as server:
        code, _, line = run(server, documents=many)
    assert code == 2 and "50 windows in a row got no grade" in line and "it replied 'Nice text!'" in line
    assert len(server.asked) < 3 * 60


@pytest.mark.parametrize("concurrency", ["1", "8"])
@pytest.mark.parametrize("usage", [{"prompt_tokens": 5000, "completion_tokens": 20}, None])
def test_the_limit_is_never_passed_and_a_higher_one_goes_on(run, tmp_path, concurrency, usage):
    def spent():
        usages = 5000 * 2 + 20 * 8
        return len(server.asked) * usages / 1e6 if usage else 0

    with chat_server(lambda asked: graded(asked, usage=usage, wait_s=0.02)) as server:
        options = [*PRICES, "--concurrency", concurrency, "--max-reply-tokens", "30"]
        code, result, _ = run(server, *options, "--max-cost", "0.05" if usage else "0.02")
        assert code == 1 and "could pass --max-cost" in result["stopped"]
        limit = 0.05 if usage else 0.02
        assert 0 < result["counts"]["gradings"] < 12
        assert result["counts"]["gradings"] + result["counts"]["ungraded"] == 12
        assert max(spent(), result["cost"]["paid_usd"]) <= limit
        assert result["cost"]["paid_usd"] > limit * 0.6, "it is used"
        assert len(rows(tmp_path / "labels.jsonl")) == result["counts"]["gradings"]
        code, result, _ = run(server, *options, "--max-cost", "1")
    assert (code, result["counts"]["gradings"], len(server.asked)) == (0, 12, 12)


def test_a_limit_below_one_request_sends_none(run):
    with chat_server() as server:
        code, result, _ = run(server, *PRICES, "--max-cost", "0.0001")
    assert (code, len(server.asked), result["counts"]["ungraded"]) == (1, 0, 12)


def test_a_dry_run_says_what_it_would_cost_and_touches_nothing(run, tmp_path):
    with chat_server() as server:
        code, plan, _ = run(server, *PRICES, "--model", "other", "--dry-run")
        assert (code, plan["requests"], len(server.asked)) == (0, 24, 0)
        assert [path.name for path in tmp_path.iterdir()] == ["documents.jsonl"]
        _, result, _ = run(server, *PRICES)
        _, rest, _ = run(server, *PRICES, "--model", "other", "--dry-run")
    assert (rest["requests"], rest["graded_before"]) == (12, 12)
    assert plan["usd_at_most"] > 24 * 900 * 2 / 1e6
    assert rest["usd_before"] == round(result["cost"]["paid_usd"], 4)


def test_people_see_counts_agreement_and_cost(run, capsys, tmp_path):
    with chat_server() as server:
        run(server, *PRICES)
        where = ["--input", str(tmp_path / "documents.jsonl"), "--out", str(tmp_path / "labels.jsonl")]
        more = ["--base-url", server.url, "--model", "judge", "--model", "second", *PRICES]
        assert main(["annotate", *where, *more]) == 0
    shown = capsys.readouterr().out
    assert "quadratic_kappa" in shown and "cost so far: 0.0518 USD (24 requests, 24,000 + 480 tokens)" in shown


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--max-cost", "5"], "--max-cost needs --price-in and --price-out"),
        (["--price-in", "1"], "--price-in and --price-out belong together"),
        (["--price-in", "1", "--price-in", "2", "--price-out", "1"], "--price-in must be given once"),
        (["--gradings", "2"], "at --temperature 0 would be copies"),
        (["--model", "judge"], "names one model twice"),
        (["--extra", "[1]"], "--extra must be a JSON object"),
        (["--extra", '{"stream": true}'], "--extra must be a JSON object without"),
        (["--concurrency", "0"], "concurrency"),
        (["--api-key-env", "NO_SUCH_KEY_HERE"], "NO_SUCH_KEY_HERE"),
        (["--max-cots", "1"], "--max-cost"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_one_line(run, options, complaint):
    with chat_server() as server:
        code, _, line = run(server, *options)
    assert (code, len(server.asked)) == (2, 0)
    assert complaint in line


def test_an_address_that_is_none_is_refused_before_anything_is_written(tmp_path, capsys):
    (tmp_path / "d.jsonl").write_text(json.dumps(DOCUMENTS[0]))
    where = ["--input", str(tmp_path / "d.jsonl"), "--out", str(tmp_path / "labels.jsonl")]
    assert main(["annotate", *where, "--base-url", "localhost:1", "--model", "judge"]) == 2
    assert "--base-url must be like http://localhost:8000/v1, got 'localhost:1'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["d.jsonl"]


def test_an_output_without_a_format_and_a_text_that_is_none_are_refused(run):
    with chat_server() as server:
        assert "--out must end in .parquet, .jsonl or .jsonl.gz" in run(server, out="labels")[2]
        assert "document x: text must be a string, got int" in run(server, documents=[{"id": "x", "text": 3}])[2]
