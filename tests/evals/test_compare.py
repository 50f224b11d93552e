import json

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from common.errors import SettingsError
from common.files import file_entries, write_json
from evals.compare import compare
from evals.comparison import MEAN
from evals.results import SourceUse, answer_schema, choice_schema
from evals.settings import CompareSettings
from evals.statistics import FEW_ITEMS
from evals.tables import as_json, as_text, in_words
from evals.units import ANSWER, BITS, GOLD
from tests.evals.helpers import made_choices, made_result

BITS_OF = np.random.default_rng(0).normal(1.2, 0.2, size=40)
RIGHT = np.random.default_rng(1).uniform(0.2, 0.6, size=60)
SEEDS = np.array([0.0, 0.004, -0.003, 0.002])


def of(mixture: str, seed: int = 0, shift: float = 0.0, extra=None, **settings):
    values = {"mixture": mixture, "seed": seed, "model": "nano", "tokens": 960} | settings
    return made_result(f"{mixture}-{seed}-{settings}", BITS_OF + shift, settings=values, **(extra or {}))


def asked(mixture: str, seed: int, easy: float = 0.0):
    """A run that was asked three tasks: two that it knows something of, and one of which it knows nothing."""
    luck = np.random.default_rng([len(mixture), seed]).normal(0, 0.003)
    blind = np.tile([0.6, 0.4], 30)  # says yes with 0.6 to every question
    tables = [
        made_choices("arc_easy", RIGHT + easy + luck),
        made_choices("piqa", np.clip(RIGHT + 0.2 + luck, 0, 0.95), choices=2),
        made_choices("boolq", blind, choices=2),
    ]
    return of(mixture, seed, shift=luck, extra={"choices": pa.concat_tables(tables)})


def verdict(comparison, name: str, metric=GOLD):
    (found,) = [d for d in comparison.differences if (d.metric, d.name) == (metric.name, name)]
    return found.verdict


def test_the_measure_of_a_variant_is_its_bits_over_its_bytes():
    measure = compare([of("web")]).measure("web", "web")
    assert measure.value == pytest.approx(BITS_OF.mean(), abs=1e-12)
    assert measure.low < BITS_OF.mean() < measure.high
    assert (measure.items, measure.seed_deviation) == (40, None)


def test_a_shift_of_every_document_is_found_whole():
    (difference,) = compare([of("web"), of("phi_1_5", shift=0.05)]).differences
    assert (difference.first, difference.second) == ("phi_1_5", "web")
    assert difference.difference == pytest.approx(0.05, abs=1e-12)
    assert difference.low == pytest.approx(0.05, abs=1e-9)
    assert in_words(difference) == "web lower"


def test_a_few_documents_tell_nothing_apart():
    few = BITS_OF[: FEW_ITEMS - 1]
    (difference,) = compare([made_result("web", few), made_result("phi_1_5", few + 0.05)]).differences
    assert difference.is_clear
    assert in_words(difference) == "too few to tell"


def test_equal_models_are_not_told_apart():
    noise = np.random.default_rng(5).normal(0, 0.05, size=40)
    comparison = compare([of("web"), made_result("phi_1_5", BITS_OF + noise - noise.mean())])
    assert in_words(comparison.differences[0]) == "not told apart"


def test_runs_that_differ_in_the_seed_are_one_variant_and_show_their_spread():
    comparison = compare([of("web", 0), of("web", 1, shift=0.02), of("web", 2, shift=0.04)])
    (variant,) = comparison.variants
    assert [run.seed for run in variant.runs] == [0, 1, 2]
    measure = comparison.measure("web", "web")
    assert measure.value == pytest.approx(BITS_OF.mean() + 0.02, abs=1e-12)
    assert measure.seed_deviation == pytest.approx(0.02, abs=1e-12)


@pytest.mark.parametrize("seeds", [1, 2])
def test_with_fewer_than_three_seeds_it_says_that_there_is_no_verdict(seeds):
    runs = [of(mixture, seed, shift=seed / 100) for mixture in ("web", "phi_1_5") for seed in range(seeds)]
    comparison = compare(runs)
    (note,) = comparison.notes
    assert note.startswith(
        "No verdict on the recipes is given: that takes at least 3 seeds of each "
        f"(phi_1_5 has {seeds}, web has {seeds})."
    )
    assert [d.verdict for d in comparison.differences] == [None]
    assert note in as_text(comparison)
    assert "Verdicts on the recipes" not in as_text(comparison)


def test_three_seeds_get_the_verdict_of_welchs_test_over_seeds():
    shifts = {"web": SEEDS[:3] + 0.05, "phi_1_5": SEEDS}
    comparison = compare([of(name, seed, shift=s) for name, each in shifts.items() for seed, s in enumerate(each)])
    found = verdict(comparison, "web", BITS)
    expected = stats.ttest_ind(shifts["phi_1_5"], shifts["web"], equal_var=False)
    assert found.word == "better"  # phi_1_5 needs fewer bits
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-6)
    assert comparison.notes == []
    assert "better" in as_text(comparison)


@pytest.mark.parametrize(
    ("shift", "margin", "word"),
    [(0.0, 0.02, "equivalent"), (0.0, 0.001, "not distinguishable"), (0.05, 0.02, "better"), (-0.05, 0.02, "worse")],
)
def test_each_word_is_given_where_it_is_due(shift, margin, word):
    runs = [
        of(name, seed, shift=s + by) for name, by in (("web", shift), ("phi_1_5", 0)) for seed, s in enumerate(SEEDS)
    ]
    assert verdict(compare(runs, CompareSettings(margin_bits=margin)), "web", BITS).word == word


def test_a_pair_with_seeds_gets_a_verdict_beside_a_pair_without():
    runs = [of(name, seed, shift=s) for name in ("web", "phi_1_5") for seed, s in enumerate(SEEDS)] + [of("web_only")]
    comparison = compare(runs)
    assert {(d.first, d.second): d.verdict is not None for d in comparison.differences} == {
        ("phi_1_5", "web"): True,
        ("phi_1_5", "web_only"): False,
        ("web", "web_only"): False,
    }
    assert comparison.notes[0].startswith("No verdict on some recipes is given")


def test_more_pairs_ask_more_of_each_and_a_baseline_asks_less():
    runs = [
        of(name, seed, shift=s + by)
        for by, name in ((0, "web"), (0.01, "phi_1_5"), (0.02, "web_only"))
        for seed, s in enumerate(SEEDS)
    ]
    everything, against = compare(runs), compare(runs, CompareSettings(baseline="web"))
    assert [(d.first, d.second) for d in against.differences] == [("phi_1_5", "web"), ("web_only", "web")]
    for d in against.differences:
        (same,) = [e for e in everything.differences if {e.first, e.second} == {d.first, d.second}]
        assert d.verdict.p < same.verdict.p
        assert d.verdict.detectable < same.verdict.detectable
    with pytest.raises(SettingsError, match="no variant is called 'wbe', the baseline; there are phi_1_5, web"):
        compare(runs, CompareSettings(baseline="wbe"))


def test_tasks_are_judged_by_the_probability_of_the_right_answer():
    runs = [asked(name, seed, easy) for name, easy in (("web", 0.05), ("phi_1_5", 0)) for seed in range(4)]
    comparison = compare(runs)
    assert [metric.name for metric in comparison.metrics()] == ["gold_probability", "bits_per_byte"]
    assert verdict(comparison, "arc_easy").word == "worse"
    assert verdict(comparison, "piqa").word in ("equivalent", "not distinguishable")
    mine = [run for run in runs if run.mixture == "web"]
    right = np.mean([run.choices["log_probability"].to_numpy()[:240].reshape(60, 4) for run in mine], axis=0)
    expected = np.mean([np.exp(right[i, i % 4] / 10) for i in range(60)])
    assert comparison.measure("web", "arc_easy", GOLD).value == pytest.approx(expected, abs=1e-4)


def test_a_task_without_signal_is_left_out_of_the_mean_and_gets_no_verdict():
    runs = [asked(name, seed) for name in ("web", "phi_1_5") for seed in range(3)]
    comparison = compare(runs)
    assert {s.task: s.is_there for s in comparison.signals} == {"arc_easy": True, "piqa": True, "boolq": False}
    values = {name: comparison.measure("web", name, GOLD).value for name in ("arc_easy", "piqa", MEAN)}
    assert values[MEAN] == pytest.approx((values["arc_easy"] + values["piqa"]) / 2)
    assert [d.name for d in comparison.differences if d.metric == GOLD.name and d.verdict] == [MEAN, "arc_easy", "piqa"]
    assert any(note.startswith("No signal: on boolq these models") for note in comparison.notes)


def test_the_mean_over_tasks_holds_half_of_the_level():
    runs = [asked(name, seed, easy) for name, easy in (("web", 0.01), ("phi_1_5", 0)) for seed in range(4)]
    comparison = compare(runs)
    scores = {name: [comparison.measure(v, name, GOLD).by_seed for v in ("phi_1_5", "web")] for name in (MEAN, "piqa")}
    alone = {name: stats.ttest_ind(*pair, equal_var=False).pvalue for name, pair in scores.items()}
    assert verdict(comparison, MEAN).p <= 2 * alone[MEAN] + 1e-12
    assert verdict(comparison, "piqa").p >= min(1, alone["piqa"])


def test_runs_that_were_asked_other_items_are_refused():
    some, other = asked("web", 0), asked("phi_1_5", 0)
    fewer = made_result("fewer", BITS_OF, choices=other.choices.slice(0, 6 * 60))
    with pytest.raises(SettingsError, match="fewer was not asked the task boolq"):
        compare([some, fewer])
    cut = made_result("cut", BITS_OF, choices=made_choices("arc_easy", RIGHT[:59]))
    whole = made_result("whole", BITS_OF, choices=made_choices("arc_easy", RIGHT))
    with pytest.raises(SettingsError, match="whole and cut were asked different items of arc_easy"):
        compare([whole, cut])


def test_runs_that_were_asked_in_another_way_are_refused():
    tables = {"choices": made_choices("arc_easy", RIGHT)}
    one, other = (
        made_result(n, BITS_OF, tasks={"arc_easy": {"requests": d}}, **tables) for n, d in (("a", "1"), ("b", "2"))
    )
    with pytest.raises(SettingsError, match=r"a and b were not asked arc_easy alike \(requests differs\)"):
        compare([one, other])


def test_tasks_with_written_answers_are_a_family_of_their_own():
    runs = []
    for name, harder in (("web", 0.0), ("phi_1_5", 0.5)):
        for seed, luck in enumerate(SEEDS):
            rows = [("squad", str(i), 0, -(10 + harder + luck) * (1 + i / 9), 10, True) for i in range(25)]
            written = [dict(zip(choice_schema().names, row, strict=True)) for row in rows]
            tables = [asked(name, seed).choices, pa.Table.from_pylist(written, choice_schema())]
            runs.append(of(name, seed, shift=luck, extra={"choices": pa.concat_tables(tables)}))
    comparison = compare(runs)
    assert [metric.name for metric in comparison.metrics()] == [GOLD.name, ANSWER.name, "bits_per_byte"]
    assert verdict(comparison, "squad", ANSWER).word == "worse"
    assert "squad" not in [signal.task for signal in comparison.signals]


def test_the_accuracy_is_the_harnesss_where_it_scored_the_answers():
    rows = [
        {"task": "squad", "item": str(i), "groups": [], "score": s, "written": "x"}
        for i, s in enumerate((1.0, 0, 0, 1))
    ]
    answers = pa.Table.from_pylist(rows, schema=answer_schema())
    run = made_result("web", BITS_OF, choices=made_choices("arc_easy", RIGHT), answers=answers, tasks={"squad": {}})
    assert compare([run]).accuracy == {("squad", "web"): 0.5, ("arc_easy", "web"): pytest.approx((RIGHT > 0.25).mean())}


def found_in(folder, rows, tasks=("arc_easy", "piqa", "boolq")):
    """A corpus as far as its contamination is read."""
    folder.mkdir()
    columns = ("task", "item", "row", "class", "action", "reason")
    table = pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows])
    pa.parquet.write_table(table, folder / "contamination.parquet")
    write_json(
        folder / "manifest.json",
        {
            "contamination": {"tasks": [{"task": task} for task in tasks]},
            "files": file_entries(folder, {"contamination.parquet": len(rows)}),
        },
    )
    return folder / "contamination.parquet"


def test_every_verdict_on_tasks_is_repeated_on_the_clean_items(tmp_path):
    leaked = np.zeros(60)
    leaked[:20] = 0.3  # what the corpus of "web" held word by word
    runs = []
    for seed in range(4):
        luck = np.random.default_rng(seed).normal(0, 0.003)
        for name, gain in (("web", leaked), ("phi_1_5", 0 * leaked)):
            table = made_choices("arc_easy", np.clip(RIGHT + gain + luck, 0, 0.95))
            runs.append(of(name, seed, shift=luck, extra={"choices": table}))
    rows = [("arc_easy", f"id{i}", i, "verbatim", "count", None) for i in range(20)]
    path = found_in(tmp_path / "corpus", rows)
    comparison = compare(runs, CompareSettings(contamination=(path,), margin_probability=0.02))
    (clean,) = comparison.clean
    assert verdict(comparison, "arc_easy").word == "worse"
    assert (clean.verdict.word, clean.items) == ("equivalent", 40)
    assert "on clean items" in as_text(comparison)


def test_curves_and_the_mean_of_the_last_checkpoints():
    runs = []
    for mixture in ("web", "phi_1_5"):
        for seed, luck in enumerate(SEEDS[:3]):
            final = of(mixture, seed, shift=luck)
            early = of(mixture, seed, shift=luck + 0.5, extra={"trained": {"web": SourceUse(480, 480, "c0ffee")}})
            fields = {name: getattr(early, name) for name in ("settings", "trained", "items")}
            name = f"{final.name}@1"
            runs += [final, made_result(name, BITS_OF, checkpoint_of=final.name, **fields)]
    comparison = compare(runs)
    assert [variant.name for variant in comparison.variants] == ["phi_1_5", "web"]
    points = {(p.variant, p.tokens): np.mean(p.by_seed) for p in comparison.curves}
    centre = BITS_OF.mean() + SEEDS[:3].mean()
    assert points == pytest.approx(
        {(v, t): centre + up for v in ("web", "phi_1_5") for t, up in ((480, 0.5), (960, 0))}
    )
    averaged = compare(runs, CompareSettings(average=2))
    assert averaged.measure("web", "web").value == pytest.approx(centre + 0.25)
    with pytest.raises(SettingsError, match=r"average 3: of .* there are 2 checkpoints"):
        compare(runs, CompareSettings(average=3))
    with pytest.raises(SettingsError, match="@1: the run that it is a checkpoint of is not among the results"):
        compare(runs[1:])


def test_what_else_differs_between_variants_is_told():
    notes = compare([of("web"), of("phi_1_5", learning_rate=0.1)]).notes
    assert "Not a controlled comparison: the variants differ also in learning_rate." in notes


def test_unequal_training_is_told_with_the_numbers():
    longer = made_result("phi_1_5", BITS_OF, trained={"web": SourceUse(1920, 480, "c0ffee")})
    notes = compare([of("web"), longer]).notes
    assert "The variants were not trained on equally many tokens: phi_1_5 1,920, web 960." in notes


def test_a_source_that_a_variant_never_saw_is_told():
    unseen = made_result("phi_1_5", BITS_OF, trained={"code": SourceUse(960, 480, "beef")})
    assert any(note.startswith("phi_1_5 saw no text of web") for note in compare([of("web"), unseen]).notes)


def test_few_documents_are_told():
    notes = compare([made_result("web", BITS_OF[:5])]).notes
    assert notes == [
        "Few documents or items (web 5): with fewer than 20 the intervals over them are too narrow.",
    ]


def test_other_documents_or_another_way_of_scoring_are_refused():
    with pytest.raises(SettingsError, match="a and b were scored on different held-out documents"):
        compare([made_result("a", BITS_OF), made_result("b", BITS_OF, held_out={"web": "bb"})])
    scoring = {"stride": 12, "max_documents": None, "context_length": 48, "device": "cpu"}
    with pytest.raises(SettingsError, match="a was scored with stride 24, b with 12"):
        compare([made_result("a", BITS_OF), made_result("b", BITS_OF, scoring=scoring)])
    with pytest.raises(SettingsError, match="no run to compare"):
        compare([])


def test_seeds_without_spread_are_no_number_in_json():
    runs = [of(name, seed) for name in ("web", "phi_1_5") for seed in range(3)]
    (difference,) = json.loads(json.dumps(as_json(compare(runs)), allow_nan=False))["differences"]
    assert (difference["verdict"]["word"], difference["verdict"]["low"]) == ("not distinguishable", None)
