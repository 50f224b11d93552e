"""The parts of annotation by themselves: journal, meter, agreement."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, lists, tuples

from classifiers.agreement import agreement
from classifiers.cost import Meter, Tariff
from classifiers.journal import Journal, read_events
from classifiers.prompt import Grade
from common.documents import read_documents
from common.errors import BusyError, InputError, IntegrityError
from tests.conftest import shared

BILL = {"prompt_tokens": 100, "reply_tokens": 10, "usd": 0.25}
EVENTS = [
    {"event": "sent", "key": "a", "at_most_usd": 0.5},
    {"event": "grade", "key": "a", "score": 3, "reason": "naïve \ud800", **BILL},
    {"event": "sent", "key": "b", "at_most_usd": 0.5},
    {"event": "malformed", "key": "b", "problem": "no", "reply": "?", **BILL},
    {"event": "sent", "key": "b", "at_most_usd": 0.75},
    {"event": "sent", "key": "c", "at_most_usd": 0.5},
    {"event": "unbilled", "key": "c"},
    {"event": "sent", "key": "d", "at_most_usd": 0.5},
    {"event": "refused", "key": "d", "problem": "policy"},
]


def write(path, events=EVENTS):
    async def all_at_once(journal):
        await asyncio.gather(*(journal.append(**event) for event in events))

    with Journal(path) as journal:
        asyncio.run(all_at_once(journal))


def test_a_journal_gives_back_grades_problems_and_cost(tmp_path):
    write(tmp_path / "j")
    ledger, whole_bytes = read_events(tmp_path / "j")
    assert whole_bytes == (tmp_path / "j").stat().st_size
    assert ledger.grades == {"a": Grade(3, "naïve \ud800")}
    assert [(p.problem, p.reply, p.final) for p in ledger.problems["b"]] == [("no", "?", False)]
    assert ledger.problems["d"][0].final
    assert (ledger.sent, ledger.answered, ledger.unanswered) == (5, 2, 1)
    assert (ledger.paid_usd, ledger.maybe_paid_usd) == (0.5, 0.75)


def test_a_journal_cut_at_any_byte_goes_on_from_its_last_whole_line(tmp_path):
    write(tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    for cut in range(len(content) + 1):
        (tmp_path / "cut").write_bytes(content[:cut])
        with Journal(tmp_path / "cut") as journal:
            lines = content[:cut].count(b"\n")
            assert journal.ledger.sent == sum(event["event"] == "sent" for event in EVENTS[:lines])
        assert (tmp_path / "cut").read_bytes() == b"".join(content.splitlines(keepends=True)[:lines])


@pytest.mark.parametrize(
    "line", ["{}", "[]", "nonsense", '{"event": "party", "key": "a"}', '{"event": "grade", "key": "a"}']
)
def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_touched(tmp_path, line):
    write(tmp_path / "j")
    lines = (tmp_path / "j").read_text().splitlines()
    lines[2] = line
    (tmp_path / "j").write_text("\n".join(lines) + "\n")
    before = (tmp_path / "j").read_bytes()
    with pytest.raises(IntegrityError, match="line 3 is damaged"), Journal(tmp_path / "j"):
        pass
    assert (tmp_path / "j").read_bytes() == before


def test_a_journal_belongs_to_one_process(tmp_path):
    with Journal(tmp_path / "j"), pytest.raises(BusyError, match="another process"), Journal(tmp_path / "j"):
        pass
    with Journal(tmp_path / "j"):
        pass


def test_a_disk_that_takes_no_more_is_an_error_and_nothing_follows_a_torn_line(tmp_path, monkeypatch):
    def full(_descriptor, data):
        raise OSError(28, "No space left on device")

    async def twice(journal):
        with pytest.raises(InputError, match="No space left"):
            await journal.append(**EVENTS[0])
        monkeypatch.undo()
        with pytest.raises(InputError, match="No space left"):
            await journal.append(**EVENTS[0])

    with Journal(tmp_path / "j") as journal:
        monkeypatch.setattr("classifiers.journal.os.write", full)
        asyncio.run(twice(journal))
    assert (tmp_path / "j").read_bytes() == b"" and journal.ledger.sent == 0


def test_an_event_counts_only_when_it_is_on_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("classifiers.journal.os.fsync", lambda _: synced.append((tmp_path / "j").read_bytes()))

    async def one(journal):
        await journal.append(**EVENTS[0])
        assert json.loads(synced[-1]) == EVENTS[0] and journal.ledger.sent == 1

    with Journal(tmp_path / "j") as journal:
        asyncio.run(one(journal))


REQUESTS = lists(tuples(integers(1, 5000), floats(0, 1), floats(0, 1)), min_size=1, max_size=40)


@given(requests=REQUESTS, limit=floats(0.001, 0.2))
@settings(max_examples=50)
def test_parallel_requests_never_pass_the_limit_together(requests, limit):
    meter = Meter({"m": Tariff(3.0, 9.0)}, limit_usd=limit)
    told = []

    async def one(size, used, turn):
        at_most = meter.at_most("m", size, 50)
        told.append(await meter.reserve(at_most))
        if told[-1]:
            assert meter.paid_usd + meter.reserved_usd <= limit * (1 + 1e-9)
            await asyncio.sleep(turn / 1000)
            await meter.settle(at_most, at_most * used)

    async def everything():
        await asyncio.wait_for(asyncio.gather(*(one(*request) for request in requests)), 10)

    asyncio.run(everything())
    assert len(told) == len(requests)
    assert meter.paid_usd <= limit * (1 + 1e-9) and meter.reserved_usd == pytest.approx(0, abs=1e-9)


def test_a_prompt_is_reckoned_at_the_worst_rate_seen_and_a_reply_at_the_longest():
    meter = Meter({"m": Tariff(1.0, 10.0)})
    assert meter.at_most("m", 3000, 50) == pytest.approx((1000 + 500) / 1e6)
    meter.observe("m", 1000, 800, 70)
    meter.observe("m", 1000, 200, 5)
    assert meter.at_most("m", 3000, 50) == pytest.approx((2400 + 700) / 1e6)


def rows_of(*scores, first="a", second="b"):
    pairs = [({"annotator": first, "score": x}, {"annotator": second, "score": y}) for x, y in scores]
    return [{"id": str(i), "text": "t"} | said for i, pair in enumerate(pairs) for said in pair]


def test_agreement_is_what_its_definition_gives():
    (row,) = agreement(rows_of((0, 0), (1, 2), (5, 2), (3, 3)))
    # κ = 1 − Σ(x − y)²·n / ΣΣ(x − y)² = 1 − 10·4 / Σ over all pairs
    chance = sum((x - y) ** 2 for x in (0, 1, 5, 3) for y in (0, 2, 2, 3))
    assert row == {
        "first": "a",
        "second": "b",
        "windows": 4,
        "exact": 0.5,
        "within_one": 0.75,
        "quadratic_kappa": round(1 - 10 * 4 / chance, 4),
    }


def test_agreement_of_one_annotator_is_none_and_of_constants_undefined():
    assert agreement(rows_of((1, 1), second="a")) == []
    assert agreement(rows_of((2, 2), (2, 2)))[0]["quadratic_kappa"] is None


def test_the_row_for_all_pairs_does_not_depend_on_names():
    scores = [(0, 1), (4, 2), (5, 5)]
    rows = [*rows_of(*scores), *rows_of((3, 1), (2, 2), second="c")]
    renamed = [row | {"annotator": {"a": "z", "b": "y", "c": "x"}[row["annotator"]]} for row in rows]
    assert agreement(rows)[-1] == agreement(renamed)[-1]


def test_the_shared_labels_agree_as_their_makers_say():
    rows = read_documents(shared("labels/labels.jsonl.gz"), ("id", "text", "score", "annotator"))
    everyone = agreement(rows)[-1]
    assert everyone["first"] == "all pairs" and everyone["windows"] > 200
    assert everyone["exact"] == pytest.approx(0.87, abs=0.03)
    assert everyone["within_one"] == 1.0
    assert everyone["quadratic_kappa"] == pytest.approx(0.953, abs=0.02)
