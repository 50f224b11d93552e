from fractions import Fraction

import pytest

from common.errors import InputError, SettingsError
from mixtures import Blend, Recipe, load_recipe
from mixtures.recipe import planned_use, recipe_names


def write_recipe(tmp_path, text: str) -> str:
    (tmp_path / "mine.yaml").write_text(text)
    return str(tmp_path / "mine.yaml")


def test_the_three_mixtures_of_the_paper_ship():
    shares = {name: load_recipe(name).weights for name in recipe_names()}
    fifth = Fraction(1, 5)
    assert shares == {
        "phi_1_5": {"synthetic": 4 * fifth, "code": fifth},
        "web": {"web": 2 * fifth, "code": fifth, "synthetic": 2 * fifth},
        "web_only": {"web": 4 * fifth, "code": fifth},
    }


def test_decimals_in_yaml_are_taken_as_written(tmp_path):
    path = write_recipe(tmp_path, "sources:\n  a: {weight: 0.1}\n  b: {weight: 0.2}\n  c: {weight: 7/10}\n")
    assert load_recipe(path).weights == {"a": Fraction(1, 10), "b": Fraction(1, 5), "c": Fraction(7, 10)}


def test_a_weight_may_stand_alone(tmp_path):
    path = write_recipe(tmp_path, "sources:\n  a: 4/5\n  b: {weight: 0.2, max_repeats: 3}\n")
    assert load_recipe(path).weights == {"a": Fraction(4, 5), "b": Fraction(1, 5)}


def test_weights_that_do_not_sum_to_one_are_refused_with_terms_and_sum(tmp_path):
    path = write_recipe(tmp_path, "sources:\n  web: {weight: 0.8}\n  code: {weight: 0.3}\n")
    with pytest.raises(SettingsError, match=r"mine.yaml: weights must sum .* web 4/5 \+ code 3/10 = 11/10"):
        load_recipe(path)


def test_a_misspelt_key_is_refused_with_the_right_one(tmp_path):
    path = write_recipe(tmp_path, "sources:\n  web: {wieght: 1}\n")
    with pytest.raises(SettingsError, match=r"sources.web.wieght.*Did you mean 'weight'"):
        load_recipe(path)


def test_a_weight_that_is_no_number_is_refused_by_source_and_value(tmp_path):
    path = write_recipe(tmp_path, "sources:\n  web: {weight: most}\n")
    with pytest.raises(SettingsError, match=r"sources.web.weight.*most"):
        load_recipe(path)


def test_a_mixture_without_sources_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="sources"):
        load_recipe(write_recipe(tmp_path, "sources: {}\n"))


def test_an_unknown_mixture_is_answered_with_the_known_ones():
    with pytest.raises(SettingsError, match="'wbe': give one of phi_1_5, web, web_only"):
        load_recipe("wbe")


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml"):
        load_recipe(tmp_path / "none.yaml")


def test_a_recipe_survives_being_written_to_settings_and_read_again():
    recipe = load_recipe("web")
    assert Recipe.parse(recipe.model_dump(mode="json")) == recipe


def test_use_is_exact_and_repeats_count_the_window_that_is_seen_most():
    recipe = Recipe.parse({"sources": {"a": {"weight": "4/5"}, "b": {"weight": "1/5"}}})
    blend = Blend(recipe.weights, {"a": 100, "b": 10}, 0)
    a, b = planned_use(recipe, blend, 205, context_length=32)
    assert (a.windows, a.tokens, a.epochs, a.repeats, a.warning) == (164, 164 * 32, 1.64, 2, None)
    assert (b.windows, b.tokens, b.epochs, b.repeats) == (41, 41 * 32, 4.1, 5)
    assert b.warning.startswith("warning: b is seen 4.1 times; over 4")


def test_the_paper_sees_code_4_3_and_synthetic_6_times():
    recipe = load_recipe("phi_1_5")
    billion = 10**9 // 2048
    blend = Blend(recipe.weights, {"synthetic": 20 * billion, "code": 7 * billion}, 0)
    synthetic, code = planned_use(recipe, blend, 150 * billion, 2048)
    assert (round(synthetic.epochs, 2), round(code.epochs, 2)) == (6.00, 4.29)


def test_a_run_that_repeats_too_often_is_refused_with_the_longest_that_is_allowed():
    recipe = Recipe.parse({"sources": {"a": {"weight": "1/2"}, "b": {"weight": "1/2", "max_repeats": 2}}})
    blend = Blend(recipe.weights, {"a": 100, "b": 10}, 0)
    with pytest.raises(SettingsError, match=r"b would be seen 3.0 times.* max_repeats 2; train on at most 328 tokens"):
        planned_use(recipe, blend, 60, context_length=8)
    planned_use(recipe, blend, 328 // 8, context_length=8)
    with pytest.raises(SettingsError, match="max_repeats 2"):
        planned_use(recipe, blend, 328 // 8 + 1, context_length=8)
