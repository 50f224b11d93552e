import pytest

from tests.evals.helpers import write_run, write_source

TEXTS = {
    "web": ["Rivers carry water.", "Light " * 120, "a", "Ünïcode – 日本語 <|endoftext|> plain"],
    "code": ["def f():\n\treturn 1\n", "x = [1, 2, 3]\n" * 20],
}


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Two finished runs of different mixtures on one data folder; not to be changed."""
    folder = tmp_path_factory.mktemp("evals")
    for source, texts in TEXTS.items():
        write_source(folder / "data", source, texts)
    return [write_run(folder / "runs" / mixture, folder / "data", mixture) for mixture in ("web", "phi_1_5")]
