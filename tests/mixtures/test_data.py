import numpy as np
import pytest

from common.errors import InputError, SettingsError
from mixtures import open_blend
from tests.mixtures.helpers import make_source

LENGTH = 32


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blend") / "data"
    for name, count in (("web", 90), ("code", 40), ("synthetic", 60)):
        make_source(folder, name, count)
    return folder


def test_what_is_read_are_the_windows_that_the_blend_names(data_dir):
    data = open_blend("web", data_dir, LENGTH, seed=5)
    tokens, source = data.read(100, 180)
    numbers, _, windows = data.blend.slots(100, 180)
    assert tokens.dtype == np.uint16
    assert tokens.shape == (80, LENGTH + 1)
    assert source.tolist() == numbers.tolist()
    for row, number, window in zip(tokens, numbers, windows, strict=True):
        assert row.tolist() == data.shards[data.names[number]].read(int(window), LENGTH).tolist()


def test_tokens_per_source_are_exact_at_every_step(data_dir):
    data = open_blend("web", data_dir, LENGTH, seed=0)
    for step in range(1, 40):
        use = {use.source: use.tokens for use in data.use(step * 5)}
        assert use == {"web": step * 2 * LENGTH, "code": step * LENGTH, "synthetic": step * 2 * LENGTH}


def test_an_epoch_predicts_every_token_of_the_windows_once(data_dir):
    data = open_blend("web", data_dir, LENGTH, seed=1)
    count = data.blend.windows["code"]
    tokens, source = data.read(0, 5 * count)
    mine = tokens[source == data.names.index("code")][:, 1:]
    whole = [data.shards["code"].read(i, LENGTH)[1:] for i in range(count)]
    assert sorted(map(tuple, mine.tolist())) == sorted(tuple(row.tolist()) for row in whole)


def test_shared_sources_give_the_same_windows_in_two_mixtures(data_dir):
    one, other = (open_blend(name, data_dir, LENGTH, seed=2) for name in ("web", "phi_1_5"))
    code = []
    for data in (one, other):
        tokens, source = data.read(0, 200)
        code.append(tokens[source == data.names.index("code")].tolist())
    assert code[0] == code[1]
    assert len(code[0]) == 40


def test_the_digest_is_of_weights_shards_seed_and_length(data_dir):
    base = open_blend("web", data_dir, LENGTH, seed=0).digest
    assert base == open_blend("web", data_dir, LENGTH, seed=0).digest
    others = [("web", LENGTH, 1), ("web", LENGTH + 1, 0), ("web_only", LENGTH, 0)]
    assert len({base, *(open_blend(name, data_dir, length, seed).digest for name, length, seed in others)}) == 4


def test_a_source_that_is_shorter_than_a_window_is_refused_by_name(data_dir):
    with pytest.raises(InputError, match=r"web has [\d,]+ tokens, fewer than one window of 100,001"):
        open_blend("web", data_dir, 100_000, seed=0)


def test_a_missing_source_or_folder_is_refused_by_name(data_dir, tmp_path):
    with pytest.raises(InputError, match="none does not exist"):
        open_blend("web", tmp_path / "none", LENGTH, seed=0)
    make_source(tmp_path / "data", "web", 10)
    with pytest.raises(InputError, match="code does not exist: make it with"):
        open_blend("web_only", tmp_path / "data", LENGTH, seed=0)


def test_a_run_that_repeats_a_source_too_often_is_refused(data_dir):
    data = open_blend("web", data_dir, LENGTH, seed=0)
    with pytest.raises(SettingsError, match=r"code would be seen .* max_repeats 16"):
        data.use(5 * 17 * data.blend.windows["code"])
