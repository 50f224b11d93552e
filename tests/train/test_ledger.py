import json

import numpy as np
import pytest

from common.errors import IntegrityError
from mixtures import open_blend
from tests.train.conftest import STEPS
from train import ledger

NAMES = ("web", "code")


def entry(step=1, sources=(0, 1, 0), prints=(5, 6, 7)):
    return ledger.entry(step, NAMES, np.array(sources), np.array(prints), context_length=10)


def test_tokens_are_counted_by_source_and_a_source_without_any_is_named():
    assert entry().tokens == {"web": 20, "code": 10}
    assert entry(sources=(0, 0, 0)).tokens == {"web": 30, "code": 0}


def test_the_digest_depends_on_the_tokens_their_order_and_their_source():
    digests = [entry(), entry(prints=(6, 5, 7)), entry(sources=(0, 0, 1)), entry(prints=(5, 6, 8))]
    assert len({item.digest for item in digests}) == 4


def test_a_ledger_reads_back_as_it_was_written(tmp_path):
    entries = [entry(step) for step in (1, 2, 3)]
    path = tmp_path / "ledger.jsonl"
    path.write_text("".join(item.line() for item in entries))
    assert ledger.read(path) == entries
    assert ledger.totals(entries) == {"web": 60, "code": 30}


@pytest.mark.parametrize("bad", ["{", "[]", '{"step": 2}', '{"step": 3, "order": 1, "tokens": {}, "digest": ""}'])
def test_a_line_that_is_not_the_next_step_is_named(tmp_path, bad):
    path = tmp_path / "ledger.jsonl"
    path.write_text(entry(1).line() + bad + "\n")
    with pytest.raises(IntegrityError, match="line 2: expected the entry of step 2"):
        ledger.read(path)


def test_the_ledger_of_a_run_totals_to_the_blends_counts_to_the_token(unbroken, data):
    blend = open_blend("web", data, 32, seed=1).blend
    counts = {name: windows * 32 for name, windows in blend.counts(0, STEPS * 4).items()}
    entries = ledger.read(unbroken / "ledger.jsonl")
    assert ledger.totals(entries) == counts
    assert sum(counts.values()) == STEPS * 4 * 32
    for item in entries:
        expected = blend.counts((item.step - 1) * 4, item.step * 4)
        assert item.tokens == {name: windows * 32 for name, windows in expected.items()}
    for folder in ("checkpoints/step-8", "export"):
        assert json.loads((unbroken / folder / "manifest.json").read_text())["tokens"] == counts
