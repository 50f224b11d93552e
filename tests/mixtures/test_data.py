import numpy as np
import pytest

from common.errors import InputError, SettingsError
from common.tokenizer import END_OF_TEXT
from mixtures import open_blend
from mixtures.data import epoch_shift
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


def write_mixture(tmp_path, text: str):
    (tmp_path / "mine.yaml").write_text(text)
    return tmp_path / "mine.yaml"


def test_the_documents_of_a_window_are_where_its_end_of_text_tokens_stand(data_dir):
    """So a trainer that masks documents apart needs nothing but the tokens."""
    data = open_blend("web_only", data_dir, LENGTH, seed=0)
    shards = data.shards["web"]
    ends = np.fromfile(shards.folder / "part-00000.ds.index", dtype="<u8").astype(np.int64)
    assert len(ends) > 10
    for window in range(data.blend.windows["web"]):
        places = np.flatnonzero(shards.read(window, LENGTH) == END_OF_TEXT) + window * LENGTH
        assert places.tolist() == [e - 1 for e in ends if window * LENGTH < e <= (window + 1) * LENGTH + 1]


def test_a_schedule_changes_the_tokens_at_its_token(data_dir, tmp_path):
    path = write_mixture(
        tmp_path,
        "sources: {web: 4/5, code: 1/5, synthetic: 0}\n"
        f"schedule:\n  - {{from_tokens: {100 * LENGTH}, weights: {{web: 2/5, code: 1/5, synthetic: 2/5}}}}\n",
    )
    data, plain = open_blend(path, data_dir, LENGTH, 0), open_blend("web_only", data_dir, LENGTH, 0)
    assert data.read(0, 100)[0].tolist() == plain.read(0, 100)[0].tolist()
    assert [use.windows for use in data.use(200)] == [80 + 40, 20 + 20, 40]
    assert data.digest != plain.digest


def test_shifted_epochs_cut_the_same_tokens_elsewhere_and_lose_less_than_two_windows(data_dir, tmp_path):
    data = open_blend(write_mixture(tmp_path, "sources: {code: 1}\nshift_epochs: true\n"), data_dir, LENGTH, seed=0)
    count, shards = data.blend.windows["code"], data.shards["code"]
    row = np.fromfile(shards.folder / "part-00000.ds", dtype="<u2")
    assert (len(row) - 1) // LENGTH - 1 <= count <= (len(row) - 1) // LENGTH
    cuts = set()
    for epoch in range(5):
        tokens, _ = data.read(epoch * count, (epoch + 1) * count)
        shift = int(epoch_shift(np.array([epoch]), LENGTH)[0])
        expected = [row[shift + i * LENGTH : shift + (i + 1) * LENGTH + 1].tolist() for i in range(count)]
        assert sorted(tokens.tolist()) == sorted(expected)
        cuts.add(shift)
    assert len(cuts) == 5


def test_shifting_is_off_unless_asked_for_and_part_of_the_digest(data_dir, tmp_path):
    off, on = (
        open_blend(write_mixture(tmp_path, f"sources: {{code: 1}}\nshift_epochs: {word}\n"), data_dir, LENGTH, 0)
        for word in ("false", "true")
    )
    assert off.digest != on.digest
    assert open_blend("web", data_dir, LENGTH, 0).recipe.shift_epochs is False


@pytest.mark.parametrize("length", [1, 2, 32, 2048, 2**20])
def test_the_shifts_of_any_four_epochs_lie_apart_and_inside_the_window(length):
    shifts = epoch_shift(np.arange(10_000), length)
    assert 0 <= shifts.min() <= shifts.max() < length
    if length >= 32:
        cuts = np.sort(np.stack([shifts[i : i + 9_000] for i in range(4)]), axis=0)
        assert np.diff(cuts, axis=0, append=cuts[:1] + length).min() >= length // 8
    assert epoch_shift(np.array([2**40]), length)[0] < length


def test_a_blend_becomes_a_dataset_of_the_library_in_training_order(data_dir):
    import datasets

    data = open_blend("web", data_dir, LENGTH, seed=0)

    def windows():
        for start in range(0, 40, 8):
            tokens, source = data.read(start, start + 8)
            yield from (
                {"input_ids": row, "source": data.names[i]} for row, i in zip(tokens, source.tolist(), strict=True)
            )

    rows = list(datasets.IterableDataset.from_generator(windows))
    assert np.array([row["input_ids"] for row in rows]).tolist() == data.read(0, 40)[0].tolist()
    assert [row["source"] for row in rows] == [data.names[i] for i in data.read(0, 40)[1].tolist()]
