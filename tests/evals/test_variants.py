import pytest

from common.errors import SettingsError
from evals.results import SourceUse
from evals.variants import group
from tests.evals.helpers import made_result
from tests.evals.test_compare import BITS_OF as BITS
from tests.evals.test_compare import of


def test_other_settings_make_another_variant_that_is_named_by_them():
    variants = group([of("web"), of("web", learning_rate=0.1), of("phi_1_5")])
    assert [v.name for v in variants] == ["phi_1_5", "web (learning_rate 0.1)", "web (learning_rate None)"]


def test_the_same_mixture_on_other_text_is_another_variant_named_after_its_data_folder():
    other = of("web", 1)
    other = made_result(
        "other", BITS, settings=other.settings, data_name="unfiltered", trained={"web": SourceUse(960, 480, "beef")}
    )
    assert [v.name for v in group([of("web"), other])] == ["web (data)", "web (unfiltered)"]


def test_one_trained_model_under_two_seeds_is_refused():
    copy = made_result("copy", BITS, settings=of("web", 1).settings, model_digest=of("web").model_digest)
    with pytest.raises(SettingsError, match=r"web-0-\{\} and copy are the same weights: one trained model"):
        group([of("web"), copy])
