import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixtures import open_blend
from train import ledger
from train.data import read_part, windows_of


@given(step=st.integers(1, 10**9), share=st.integers(1, 64), world_size=st.integers(1, 64))
def test_the_processes_share_out_a_step_without_gap_or_overlap(step, share, world_size):
    batch = share * world_size
    parts = [windows_of(step, batch, rank, world_size) for rank in range(world_size)]
    assert parts[0][0] == (step - 1) * batch == windows_of(step, batch)[0]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(parts))
    assert parts[-1][1] == windows_of(step + 1, batch)[0]


@pytest.mark.parametrize("world_size", [2, 3, 12])
def test_the_global_batch_and_its_digest_are_the_same_for_every_world_size(data, world_size):
    blend = open_blend("web", data, 32, seed=0)
    whole = read_part(blend, 5, 12)
    parts = [read_part(blend, 5, 12, rank, world_size) for rank in range(world_size)]
    assert np.array_equal(whole.tokens, np.concatenate([part.tokens for part in parts]))
    sources, prints = (np.concatenate([getattr(part, name) for part in parts]) for name in ("sources", "prints"))
    assert ledger.entry(5, blend.names, sources, prints, 32) == ledger.entry(
        5, blend.names, whole.sources, whole.prints, 32
    )


def test_one_changed_token_changes_the_fingerprint_of_its_window_alone(data):
    blend = open_blend("web", data, 32, seed=0)
    part = read_part(blend, 1, 4)

    class Changed:
        names = blend.names

        def read(self, start, stop):
            tokens, sources = blend.read(start, stop)
            tokens[2, 7] += 1
            return tokens, sources

    assert (read_part(Changed(), 1, 4).prints == part.prints).tolist() == [True, True, False, True]
