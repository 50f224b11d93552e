import numpy as np
import pytest

from common.errors import SettingsError
from evals.compare import compare, group
from evals.results import SourceUse
from evals.statistics import FEW_DOCUMENTS
from evals.tables import as_text, in_words
from tests.evals.helpers import made_result

BITS = np.random.default_rng(0).normal(1.2, 0.2, size=40)


def of(mixture: str, seed: int = 0, shift: float = 0.0, **settings):
    values = {"mixture": mixture, "seed": seed, "model": "nano", "tokens": 960} | settings
    return made_result(f"{mixture}-{seed}-{settings}", BITS + shift, settings=values)


def test_the_measure_of_a_variant_is_its_bits_over_its_bytes():
    measure = compare([of("web")]).measure("web", "web")
    assert measure.bits_per_byte == pytest.approx(BITS.mean(), abs=1e-12)
    assert measure.low < BITS.mean() < measure.high
    assert (measure.documents, measure.seed_deviation) == (40, None)


def test_a_shift_of_every_document_is_found_whole():
    comparison = compare([of("web"), of("phi_1_5", shift=0.05)])
    (difference,) = comparison.differences
    assert (difference.first, difference.second) == ("phi_1_5", "web")
    assert difference.difference == pytest.approx(0.05, abs=1e-12)
    assert difference.low == pytest.approx(0.05, abs=1e-9)
    assert in_words(difference) == "web lower"


def test_a_few_documents_tell_nothing_apart():
    few = BITS[: FEW_DOCUMENTS - 1]
    (difference,) = compare([made_result("web", few), made_result("phi_1_5", few + 0.05)]).differences
    assert difference.is_clear
    assert in_words(difference) == "too few documents"


def test_equal_models_are_not_told_apart():
    noise = np.random.default_rng(5).normal(0, 0.05, size=40)
    comparison = compare([of("web"), made_result("phi_1_5", BITS + noise - noise.mean())])
    assert in_words(comparison.differences[0]) == "not told apart"


def test_runs_that_differ_in_the_seed_are_one_variant_and_show_their_spread():
    comparison = compare([of("web", 0), of("web", 1, shift=0.02), of("web", 2, shift=0.04)])
    (variant,) = comparison.variants
    assert [run.seed for run in variant.runs] == [0, 1, 2]
    measure = comparison.measure("web", "web")
    assert measure.bits_per_byte == pytest.approx(BITS.mean() + 0.02, abs=1e-12)
    assert measure.seed_deviation == pytest.approx(0.02, abs=1e-12)


@pytest.mark.parametrize("seeds", [1, 2])
def test_with_fewer_than_three_seeds_it_says_that_there_is_no_verdict(seeds):
    runs = [of(mixture, seed) for mixture in ("web", "phi_1_5") for seed in range(seeds)]
    (note,) = compare(runs).notes
    assert note.startswith(
        "No verdict on the recipes is given: that takes at least 3 seeds of each "
        f"(phi_1_5 has {seeds}, web has {seeds})."
    )
    assert note in as_text(compare(runs))


def test_with_three_seeds_it_shows_mean_and_spread_and_still_no_verdict():
    runs = [of(mixture, seed, shift=seed / 100) for mixture in ("web", "phi_1_5") for seed in range(3)]
    comparison = compare(runs)
    assert comparison.notes[0].startswith("No verdict on the recipes is given yet: the table shows means over seeds")
    assert "Between seeds" in as_text(comparison)


def test_other_settings_make_another_variant_that_is_named_by_them():
    variants = group([of("web"), of("web", learning_rate=0.1), of("phi_1_5")])
    assert [v.name for v in variants] == ["phi_1_5", "web (learning_rate 0.1)", "web (learning_rate None)"]


def test_the_same_mixture_on_other_text_is_another_variant_named_after_its_data_folder():
    other = of("web", 1)
    other = made_result(
        "other", BITS, settings=other.settings, data_name="unfiltered", trained={"web": SourceUse(960, 480, "beef")}
    )
    assert [v.name for v in group([of("web"), other])] == ["web (data)", "web (unfiltered)"]


def test_what_else_differs_between_variants_is_told():
    notes = compare([of("web"), of("phi_1_5", learning_rate=0.1)]).notes
    assert "Not a controlled comparison: the variants differ also in learning_rate." in notes


def test_unequal_training_is_told_with_the_numbers():
    longer = made_result("phi_1_5", BITS, trained={"web": SourceUse(1920, 480, "c0ffee")})
    notes = compare([of("web"), longer]).notes
    assert "The variants were not trained on equally many tokens: phi_1_5 1,920, web 960." in notes


def test_a_source_that_a_variant_never_saw_is_told():
    unseen = made_result("phi_1_5", BITS, trained={"code": SourceUse(960, 480, "beef")})
    assert any(note.startswith("phi_1_5 saw no text of web") for note in compare([of("web"), unseen]).notes)


def test_few_documents_are_told():
    notes = compare([made_result("web", BITS[:5])]).notes
    assert notes == ["Few held-out documents (web 5): with fewer than 20 the intervals are too narrow."]


def test_other_documents_or_another_way_of_scoring_are_refused():
    with pytest.raises(SettingsError, match="a and b were scored on different held-out documents"):
        compare([made_result("a", BITS), made_result("b", BITS, held_out={"web": "bb"})])
    scoring = {"stride": 12, "max_documents": None, "context_length": 48, "device": "cpu"}
    with pytest.raises(SettingsError, match="a was scored with stride 24, b with 12"):
        compare([made_result("a", BITS), made_result("b", BITS, scoring=scoring)])
    with pytest.raises(SettingsError, match="no run to compare"):
        compare([])
