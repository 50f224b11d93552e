import hashlib
import itertools
import math
import struct
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import data, integers, lists, permutations

from common.errors import SettingsError
from mixtures import Blend, load_recipe
from mixtures.chairman import chairman_table, integer_weights, prefix_bound
from mixtures.settings import ORDER_VERSION

WINDOWS = {"web": 9_000, "code": 700, "synthetic": 2_500}
GOLDEN = {  # order version → mixture → sha256 of its first 10,000 slots, digest
    1: {
        "phi_1_5": ("fee55c2a6e78e760f38a7303f69826a1", "94b224178f58fc7ece24fa97a87ee94a"),
        "web_only": ("1d7b171167d3841abd00e989c154f579", "98a52b8f58bd6f3ede4ad3c5e7f0ca2e"),
        "web": ("d75bd1927262ce8e3304df10aa7e81d4", "3ecad3838c0731a8723e51cbf5c58a6c"),
    }
}


def phi(name: str, seed: int = 0) -> Blend:
    weights = load_recipe(name).weights
    return Blend(weights, {source: WINDOWS[source] for source in weights}, seed)


def stream(blend: Blend, source: str, slots: int) -> list[tuple[int, int]]:
    """(epoch, window) of every window that is drawn from ``source``."""
    number, epoch, window = blend.slots(0, slots)
    mine = number == blend.names.index(source)
    return list(zip(epoch[mine].tolist(), window[mine].tolist(), strict=True))


def random_blend(sample, seed=0, most_sources=8) -> Blend:
    integer = sample.draw(lists(integers(1, 50), min_size=2, max_size=most_sources))
    names = [f"source{i}" for i in range(len(integer))]
    weights = {name: Fraction(weight, sum(integer)) for name, weight in zip(names, integer, strict=True)}
    return Blend(weights, {name: sample.draw(integers(1, 60)) for name in names}, seed)


def reference_slot(blend: Blend, slot: int) -> tuple[int, int, int]:
    """A slot by plain integers: the chairman table counted through, the network of a permutation written out."""
    ranks = sorted(range(len(blend.names)), key=blend.names.__getitem__)
    table = [ranks[i] for i in chairman_table(integer_weights([blend.weights[blend.names[i]] for i in ranks]))]
    turn, place = divmod(slot, len(table))
    source = table[place]
    epoch, value = divmod(turn * table.count(source) + table[:place].count(source), blend.windows[blend.names[source]])
    size = blend.windows[blend.names[source]]
    low_size = math.isqrt(size - 1) + 1
    sizes = (-(-size // low_size), low_size)
    key = f"1/{blend.seed}/{blend.contents[blend.names[source]]}".encode()
    rounds = struct.unpack("<16Q", hashlib.shake_256(key).digest(128))
    while True:
        digits = list(divmod(value, low_size))
        for number, one in enumerate(rounds):
            round_key = mixed(one ^ (epoch * 0x9E3779B97F4A7C15 % 2**64))
            moved = mixed((digits[1 - number % 2] + round_key) % 2**64) >> 32
            digits[number % 2] = (digits[number % 2] + (moved * sizes[number % 2] >> 32)) % sizes[number % 2]
        value = digits[0] * low_size + digits[1]
        if value < size:
            return source, epoch, value


def mixed(value: int) -> int:
    """splitmix64."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


@settings(max_examples=60)
@given(sample=data(), start=integers(0, 10**12), size=integers(1, 10**9))
def test_a_slot_is_what_plain_integers_give_to_10_to_the_12_and_beyond(sample, start, size):
    few = random_blend(sample)
    blend = Blend(few.weights, {name: count * size for name, count in few.windows.items()}, seed=7)
    columns = [column.tolist() for column in blend.slots(start, start + 3)]
    assert list(zip(*columns, strict=True)) == [reference_slot(blend, start + i) for i in range(3)]


@pytest.mark.parametrize("name", GOLDEN[1])
def test_the_first_10000_slots_of_the_phi_mixtures_never_change_under_an_order_version(name):
    total = hashlib.sha256()
    for column in phi(name).slots(0, 10_000):
        assert column.dtype == np.int64
        total.update(column.astype("<i8").tobytes())
    assert (total.hexdigest()[:32], phi(name).digest) == GOLDEN[ORDER_VERSION][name]


@settings(max_examples=60)
@given(sample=data())
def test_every_prefix_of_up_to_31_sources_is_within_the_bound(sample):
    blend = random_blend(sample, most_sources=31)
    source, _, _ = blend.slots(0, 2 * blend.period)
    drawn = np.cumsum(source[:, None] == np.arange(len(blend.names)), axis=0)  # after 1, 2, … slots
    integer = np.array([int(weight * blend.period) for weight in blend.weights.values()])
    owed = np.arange(1, len(source) + 1)[:, None] * integer
    worst = Fraction(int(np.abs(drawn * blend.period - owed).max()), blend.period)
    assert worst <= prefix_bound(len(blend.names))


@settings(max_examples=60)
@given(sample=data())
def test_counts_agree_with_slots(sample):
    blend = random_blend(sample, most_sources=31)
    source, _, _ = blend.slots(0, 3 * blend.period)
    stop = sample.draw(integers(0, 3 * blend.period))
    start = sample.draw(integers(0, stop))
    counts = blend.counts(start, stop)
    assert list(counts.values()) == np.bincount(source[start:stop], minlength=len(blend.names)).tolist()


@settings(max_examples=30)
@given(sample=data())
def test_every_epoch_of_a_source_is_complete_and_comes_in_order(sample):
    blend = random_blend(sample)
    for name in blend.names:
        drawn = stream(blend, name, 800)
        size = blend.windows[name]
        for epoch in range(len(drawn) // size):
            passed = drawn[epoch * size : (epoch + 1) * size]
            assert {number for number, _ in passed} == {epoch}
            assert sorted(window for _, window in passed) == list(range(size))


@settings(max_examples=60)
@given(sample=data(), start=integers(0, 10**12), length=integers(0, 300))
def test_seeking_gives_what_iterating_gives(sample, start, length):
    blend = random_blend(sample)
    cut = start + sample.draw(integers(0, length))
    at_once = blend.slots(start, start + length)
    in_two = zip(blend.slots(start, cut), blend.slots(cut, start + length), strict=True)
    for one, (head, tail) in zip(at_once, in_two, strict=True):
        assert one.tolist() == [*head.tolist(), *tail.tolist()]


def test_seeking_to_10_to_the_12_takes_milliseconds():
    blend = phi("web")
    blend.slots(0, 1)
    fastest = min(_seconds(lambda: blend.slots(10**12, 10**12 + 2048)) for _ in range(5))
    assert fastest < 0.05  # 2 ms on a quiet core


def test_the_stream_of_a_source_depends_on_nothing_but_itself_and_the_seed():
    alone = stream(Blend({"code": "1"}, {"code": 700}, 3), "code", 3_000)
    fifth = stream(phi("web_only", seed=3), "code", 15_000)
    again = stream(phi("web", seed=3), "code", 15_000)
    assert alone == fifth == again
    assert stream(phi("web", seed=4), "code", 15_000) != again


@settings(max_examples=40)
@given(sample=data(), seed=integers(0, 5))
def test_adding_removing_reweighting_and_reordering_sources_leaves_the_other_streams_as_they_were(sample, seed):
    blend = random_blend(sample, seed)
    kept = sample.draw(permutations(blend.names))[: sample.draw(integers(1, len(blend.names)))]
    integer = sample.draw(lists(integers(1, 20), min_size=len(kept) + 1, max_size=len(kept) + 1))
    weights = {name: Fraction(one, sum(integer)) for name, one in zip(["added", *kept], integer, strict=True)}
    other = Blend(weights, {name: blend.windows.get(name, 9) for name in weights}, seed)
    for name in kept:
        pairs = list(zip(stream(blend, name, 600), stream(other, name, 600), strict=False))
        assert len(pairs) > 0
        assert all(one == two for one, two in pairs)


def test_the_orders_of_two_epochs_are_independent():
    epochs = 28_800
    drawn = np.array(stream(Blend({"a": "1"}, {"a": 4}, 0), "a", 4 * epochs))[:, 1].reshape(epochs, 4)
    known = {order: number for number, order in enumerate(itertools.permutations(range(4)))}
    orders = [known[tuple(order)] for order in drawn.tolist()]
    pairs = np.bincount([24 * one + other for one, other in itertools.pairwise(orders)], minlength=576)
    chi_square = ((pairs - epochs / 576) ** 2 / (epochs / 576)).sum()
    assert chi_square < 698  # 575 degrees of freedom: 1 in 3,000


def test_reordering_the_sources_changes_nothing_but_their_numbers():
    weights = {"web": "2/5", "code": "1/5", "synthetic": "2/5"}
    one = Blend(weights, WINDOWS, 0)
    other = Blend(dict(reversed(weights.items())), WINDOWS, 0)
    names = [[blend.names[i] for i in blend.slots(0, 500)[0].tolist()] for blend in (one, other)]
    assert names[0] == names[1]
    assert [c.tolist() for c in one.slots(0, 500)[1:]] == [c.tolist() for c in other.slots(0, 500)[1:]]


def test_the_content_of_a_source_decides_its_order_and_no_other():
    weights = {"web": "4/5", "code": "1/5"}
    windows = {"web": 900, "code": 700}
    one = Blend(weights, windows, 0, contents={"web": "aa", "code": "bb"})
    other = Blend(weights, windows, 0, contents={"web": "cc", "code": "bb"})
    assert stream(one, "web", 500) != stream(other, "web", 500)
    assert stream(one, "code", 500) == stream(other, "code", 500)
    assert one.digest != other.digest


def test_the_digest_names_everything_that_changes_a_slot():
    base = phi("web")
    assert base.digest == phi("web").digest
    others = [phi("web", seed=1), phi("web_only"), Blend(base.weights, base.windows | {"code": 701}, 0)]
    assert len({base.digest, *(blend.digest for blend in others)}) == 4


def test_any_split_of_a_batch_over_workers_gives_the_same_batch():
    blend = phi("web")
    batch = [column.tolist() for column in blend.slots(7 * 128, 8 * 128)]
    for world_size in range(1, 65):
        cuts = [7 * 128 + 128 * rank // world_size for rank in range(world_size + 1)]
        parts = [blend.slots(*cut) for cut in itertools.pairwise(cuts)]
        assert [np.concatenate(column).tolist() for column in zip(*parts, strict=True)] == batch


@pytest.mark.parametrize("weight", ["0.2", " 1/5 ", 0.2, Fraction(1, 5), "2/10"])
def test_a_weight_means_what_is_written(weight):
    assert Blend({"a": weight, "b": "4/5"}, {"a": 1, "b": 1}, 0).weights["a"] == Fraction(1, 5)


@pytest.mark.parametrize("weight", ["", "-1/5", "1/0", "1e-1", "nan", "1/5/5", "0", "a", True, "٢/٥"])
def test_a_weight_that_is_no_number_above_zero_is_refused_by_its_value(weight):
    with pytest.raises(SettingsError, match=f"got '{weight}'"):
        Blend({"a": weight, "b": "4/5"}, {"a": 1, "b": 1}, 0)


def test_wrong_sums_windows_and_slots_are_refused_by_name():
    with pytest.raises(SettingsError, match="= 11/10"):
        Blend({"a": "0.9", "b": "0.2"}, {"a": 1, "b": 1}, 0)
    with pytest.raises(SettingsError, match="source b has 0 windows"):
        Blend({"a": "0.9", "b": "0.1"}, {"a": 1, "b": 0}, 0)
    with pytest.raises(SettingsError, match="weights name a, but windows b"):
        Blend({"a": "1"}, {"b": 1}, 0)
    with pytest.raises(SettingsError, match="got 5 to 4"):
        Blend({"a": "1"}, {"a": 1}, 0).slots(5, 4)
    with pytest.raises(SettingsError, match="got -1 to 4"):
        Blend({"a": "1"}, {"a": 1}, 0).counts(-1, 4)


def _seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
