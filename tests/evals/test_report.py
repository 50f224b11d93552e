import numpy as np

from evals.compare import compare
from evals.report import CURVE_POINTS, page, smooth
from evals.results import SourceUse
from tests.evals.helpers import made_result

BITS = np.linspace(1.0, 2.0, 30)


def test_the_page_shows_the_figures_of_the_comparison():
    html = page(compare([made_result("web", BITS), made_result("phi_1_5", BITS + 0.1)])).html()
    for words in ("No verdict on the recipes is given", "1.5000 [", "1.6000 [", "+0.1000 [", "web lower", "Water"):
        assert words in html
    assert html.count("<img") == 2
    assert "http" not in html.replace("http-equiv", "")


def test_text_that_a_model_wrote_is_inert():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    html = page(compare([made_result("web", BITS, samples=[{"prompt": evil, "text": evil}])])).html()
    assert "<script" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_more_than_four_passes_are_pointed_out():
    worn = made_result("web", BITS, trained={"web": SourceUse(960, 200, "c0ffee")})
    assert "Seen more than 4 times: web in web." in page(compare([worn])).html()
    assert "Seen more than" not in page(compare([made_result("web", BITS)])).html()


def test_the_same_comparison_gives_the_same_bytes():
    runs = [made_result("web", BITS), made_result("phi_1_5", BITS + 0.1)]
    assert page(compare(runs)).html() == page(compare(runs[::-1])).html()


def test_a_long_curve_is_averaged_and_nothing_is_left_out():
    loss = np.random.default_rng(0).random(4 * CURVE_POINTS)
    tokens, means = smooth(np.arange(len(loss)), loss)
    assert len(means) == CURVE_POINTS
    assert np.isclose(means.mean(), loss.mean())
    assert tokens[-1] == len(loss) - 1
    assert [column.tolist() for column in smooth(np.array([1, 2]), np.array([3.0, 4.0]))] == [[1, 2], [3.0, 4.0]]
    assert [len(column) for column in smooth(np.array([]), np.array([]))] == [0, 0]
