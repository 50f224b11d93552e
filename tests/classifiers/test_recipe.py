from typing import get_args

import pytest

from classifiers.recipe import PRESETS, FineTuning, PresetName, Recipe, with_preset
from classifiers.windows import Window
from common.errors import SettingsError


def test_the_named_presets_are_the_files_that_lie_there():
    assert sorted(get_args(PresetName)) == sorted(path.stem for path in PRESETS.iterdir())


@pytest.mark.parametrize("name", get_args(PresetName))
def test_every_preset_is_a_recipe_that_anyone_can_read(name):
    assert with_preset(name, Recipe()) == Recipe.load(PRESETS / f"{name}.yaml")
    assert (PRESETS / f"{name}.yaml").read_text().startswith("# ")


def test_phi_1_is_a_random_forest_on_the_output_of_a_pretrained_encoder():
    (part,) = with_preset("phi_1", Recipe()).parts
    assert (part.head, part.reads) == ("forest", ("pooled",))


def test_fineweb_edu_is_a_linear_head_on_the_output_of_a_frozen_encoder():
    recipe = with_preset("fineweb_edu", Recipe())
    (part,) = recipe.parts
    assert (part.head, part.reads, recipe.fine_tune) == ("ridge", ("pooled",), None)


def test_what_is_given_wins_over_a_preset_and_what_is_not_given_stays():
    given = Recipe(head="mlp", window=Window(characters=1000), fine_tune=FineTuning(rank=3))
    recipe = with_preset("phi_1", given)
    assert (recipe.head, recipe.layers, recipe.static_dimensions) == ("mlp", (0,), 0)
    assert recipe.window == Window(characters=1000)
    assert recipe.fine_tune == FineTuning(rank=3)


def test_a_default_that_is_said_aloud_wins_too():
    assert with_preset("phi_1", Recipe(layers=(2, 3, 4, 5))).layers == (2, 3, 4, 5)


def test_pooling_may_be_given_before_the_policy_uses_it():
    assert with_preset("phi_1", Recipe(window=Window(pooling="max"))).window.pooling == "max"


def test_a_tuned_layer_with_nothing_beside_it_is_the_whole_score():
    recipe = Recipe(layers=(0,), static_dimensions=0, fine_tune=FineTuning(blend=0.3))
    assert [(part.head, part.reads, part.weight) for part in recipe.parts] == [("logistic", ("pooled",), 1.0)]


def test_without_static_columns_only_layers_are_read():
    assert Recipe(layers=(0,), static_dimensions=0).parts[0].reads == ("pooled",)


def test_a_preset_that_does_not_fit_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("classifiers.recipe.PRESETS", tmp_path)
    (tmp_path / "phi_1.yaml").write_text("haed: forest\n")
    with pytest.raises(SettingsError, match=r"preset phi_1: unknown key 'haed'. Did you mean 'head'\?"):
        with_preset("phi_1", Recipe())
