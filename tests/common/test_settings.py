from pathlib import Path

import pytest
from pydantic import Field

from common.errors import InputError, SettingsError
from common.settings import Settings, read_yaml


class Inner(Settings):
    keep: list[str] = Field(["en"])
    min_probability: float = Field(0.65, ge=0, le=1)


class Outer(Settings):
    input: str
    language: Inner | None = None
    stages: list[Inner] = Field(default_factory=list)
    budget_tokens: int | None = Field(None, gt=0)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_valid_file_is_read_with_underscored_numbers(tmp_path: Path) -> None:
    settings = Outer.load(written(tmp_path, "input: crawl\nbudget_tokens: 95_000_000_000\nlanguage: {keep: [de]}\n"))
    assert settings == Outer(input="crawl", budget_tokens=95_000_000_000, language=Inner(keep=["de"]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("inptu: crawl\n", ["'inptu'", "Did you mean 'input'?", "'input' is missing"]),
        (
            "input: a\nlanguage: {min_probabilty: 0.5}\n",
            ["'language.min_probabilty'", "Did you mean 'min_probability'?"],
        ),
        ("input: a\nstages: [{kep: []}]\n", ["'stages.0.kep'", "Did you mean 'keep'?"]),
        ("input: a\nzzz: 1\n", ["'zzz'", "known keys: budget_tokens, input, language, stages"]),
        ("input: a\nbudget_tokens: -3\n", ["'budget_tokens'", "greater than 0", "got -3"]),
        ("input: a\ninput: b\n", ["'input' stands twice"]),
        ("- a\n- b\n", ["must hold a mapping", "list"]),
        ("input: [a\n", ["not valid YAML"]),
    ],
)
def test_a_bad_file_is_refused_in_one_line_that_names_value_and_rule(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        Outer.load(written(tmp_path, text))
    message = str(caught.value)
    assert "\n" not in message
    assert "job.yaml" in message
    for word in words:
        assert word in message


def test_yaml_cannot_make_python_objects(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    with pytest.raises(SettingsError, match="not valid YAML"):
        read_yaml(written(tmp_path, f"input: !!python/object/apply:os.system ['touch {marker}']\n"))
    assert not marker.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: No such file"):
        Outer.load(tmp_path / "nowhere.yaml")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Outer(input="a").input = "b"  # type: ignore[misc]
