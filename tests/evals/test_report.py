import shutil
import subprocess

import numpy as np
import pytest

from common.errors import InputError
from evals.compare import compare
from evals.report import headline, page, run_links
from evals.results import SourceUse
from tests.evals.helpers import made_result
from tests.evals.test_compare import asked

BITS = np.linspace(1.0, 2.0, 30)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")
def ablation():
    """Two variants of three seeds, tasks with and without signal."""
    return compare([asked(name, seed, easy) for name, easy in (("web", 0.05), ("phi_1_5", 0)) for seed in range(3)])


def test_the_page_shows_the_figures_of_the_comparison():
    html = page(compare([made_result("web", BITS), made_result("phi_1_5", BITS + 0.1)])).html()
    for words in ("No verdict on the recipes is given", "1.5000 [", "1.6000 [", "+0.1000 [", "web lower", "Water"):
        assert words in html
    assert html.count("<img") == 2
    assert "http" not in html.replace("http-equiv", "")


def test_the_verdict_stands_in_a_sentence_at_the_top(ablation):
    first, second = headline(ablation)
    assert first.startswith("phi_1_5 is ")
    assert " web by probability of the right answer (all tasks, mean): -0.0" in first
    assert "by bits per byte of held-out documents (web): " in second
    html = page(ablation).html()
    assert html.index("phi_1_5 is ") < html.index("<table>")


def test_a_task_without_signal_is_greyed_in_every_table_of_scores(ablation):
    html = page(ablation).html()
    rows = [row for row in html.split("<tr") if row.startswith(" class=soft")]
    assert [row.split("<td")[1].split(">")[1].split("<")[0] for row in rows] == ["boolq", "boolq"]
    assert "Grey: no signal." in html


def test_our_accuracies_stand_beside_the_papers(ablation):
    html = page(ablation).html()
    (row,) = [row for row in html.split("<tr") if ">arc_easy<" in row and "0.761" in row]
    ours = [f"{ablation.accuracy['arc_easy', name]:.4g}" for name in ("phi_1_5", "web")]
    cells = [cell.split(">")[1].split("<")[0] for cell in row.split("<td")[1:]]
    assert cells == ["arc_easy", *ours, "0.666", "0.761", "0.756", "0.763", "–"]
    assert "1,500 (its model card: 6,144)" in html
    assert "1.28e+21" in html  # 6 · 1,418,270,720 · 150e9


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


def test_runs_are_linked_by_a_path_that_the_page_can_be_moved_with(tmp_path):
    runs = [made_result("web #1", BITS), made_result("gone", BITS)]
    (tmp_path / "runs" / "web #1").mkdir(parents=True)
    links = run_links(runs, tmp_path / "runs", tmp_path / "pages" / "page.html")
    assert 'href="./../runs/web%20%231"' in page(compare(runs), links).html()
    assert list(links) == ["web #1"]
    with pytest.raises(InputError, match="elsewhere holds none of the runs web #1, gone"):
        run_links(runs, tmp_path / "elsewhere", tmp_path / "page.html")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [500, 1280])
def test_the_page_fits_its_window_and_draws_every_figure(ablation, width, tmp_path):
    """In a browser: what is wider than the page scrolls inside its own box, and nothing in it runs."""
    file = tmp_path / "page.html"
    page(ablation).write(file)
    probe = (
        "<script>onload=()=>{const root=document.documentElement,all=[...document.images];"
        "document.title=[innerWidth,root.scrollWidth<=root.clientWidth,all.length,"
        "all.every(i=>i.naturalWidth>0)].join()}</script>"
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    text = file.read_text(encoding="utf-8")
    assert policy in text
    file.write_text(text.replace(policy, f"{policy}; script-src 'unsafe-inline'") + probe, encoding="utf-8")
    command = [CHROMIUM, *OPTIONS, f"--user-data-dir={tmp_path / 'browser'}", f"--window-size={width},900"]
    dom = subprocess.run(
        [*command, "--virtual-time-budget=4000", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert f"<title>{width},true,3,true</title>" in dom
