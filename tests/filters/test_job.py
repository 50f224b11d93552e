"""The job file: strict, explained, complete."""

import re

import pytest

from common.errors import SettingsError
from filters.job import RULE_NAMES, Job
from filters.rules import RULES
from tests.conftest import REPOSITORY

LEAST = {"input": "a.warc.gz", "output": "out", "budget_tokens": 10}


def test_three_lines_make_a_job(tmp_path):
    (tmp_path / "job.yaml").write_text("input: crawl/*.warc.gz\noutput: corpora/web\nbudget_tokens: 95_000_000_000\n")
    job = Job.load(tmp_path / "job.yaml")
    assert (job.input, job.budget_tokens, job.language.keep) == (("crawl/*.warc.gz",), 95_000_000_000, ("en",))
    assert [name for entry in job.rules for name in entry] == ["url", *RULES] == list(RULE_NAMES)


def test_a_language_that_cannot_be_told_is_refused_with_the_codes_that_can():
    job = Job.parse({**LEAST, "language": {"keep": ["en", "english"]}})
    with pytest.raises(SettingsError, match=r"'english' is not a language code .* such as en, de or pt \(.*, fr, "):
        job.resolved()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inptu": "x"}, "unknown key 'inptu'. Did you mean 'input'"),
        ({"language": {"kepe": ["en"]}}, "unknown key 'language.kepe'. Did you mean 'keep'"),
        ({"deduplicate": {"simhash": True}}, "unknown key 'deduplicate.simhash'"),
        ({"personal_data": {"mask": ["emails"]}}, "'personal_data.mask.0': Input should be 'email', 'ip', 'phone'"),
        ({"extract": "magic"}, "'extract': Input should be 'resiliparse', 'trafilatura', 'auto' or 'none'"),
        ({"budgets": [5, 10]}, "give budget_tokens or budgets; the job has both"),
        ({"budget_tokens": None}, "give budget_tokens, budgets or min_score; the job has none of them"),
        ({"budget_tokens": None, "budgets": [5, 10, 5]}, "budgets names 5 twice"),
        ({"budget_tokens": None, "budgets": []}, "'budgets'"),
        ({"budget_tokens": None, "min_score": 3, "quotas": {"source": {"*": 1}}}, "quotas divide a budget"),
        ({"quotas": {"language": {"en": 1}}, "language": None}, "quotas.language needs the step language"),
        ({"quotas": {"language": {"en": 0.1, "de": 0.8}}}, "shares must add up to 1, got 9/10; '*' stands for"),
        ({"quotas": {"language": {"en": 2, "de": -1}}}, "each share must be more than 0, got 2, -1"),
        ({"quotas": {"source": {"a": "half", "b": 0.5}}}, "shares are numbers such as 0.8 or 4/5"),
        ({"when_short": "ignore"}, "'when_short': Input should be 'refuse' or 'keep_all'"),
        ({"budget_tokens": 0}, "'budget_tokens': Input should be greater than 0, got 0"),
        ({"executor": {"kind": "slrum"}}, "does not match any of the expected tags: 'local', 'ray', 'slurm'"),
        ({"executor": {"kind": "slurm", "time": "5"}}, "'executor.slurm.partition' is missing"),
        ({"executor": {"kind": "ray", "adress": "x"}}, "unknown key 'executor.ray.adress'. Did you mean 'address'"),
        ({"rules": ["c4", {"c4": {}}]}, "rules names 'c4' twice"),
        ({"rules": [{"c4": {}, "fineweb": {}}]}, "each entry of rules is one name"),
        ({"input": []}, "'input'"),
    ],
)
def test_what_is_wrong_is_refused_by_name(change, message):
    with pytest.raises(SettingsError) as error:
        Job.parse({**LEAST, **change}, where="job.yaml")
    assert message in str(error.value)
    assert str(error.value).startswith("job.yaml: ")


def test_a_bound_can_be_replaced_and_the_others_are_written_out():
    job = Job.parse({**LEAST, "rules": ["fineweb", {"c4": {"min_sentences": 2}}]}).resolved()
    assert [list(entry) for entry in job.rules] == [["fineweb"], ["c4"]]
    bounds = job.rules[1]["c4"]
    assert bounds["min_sentences"] == 2 and len(bounds) > 3
    assert job.resolved() == job


def test_where_the_job_runs_decides_nothing():
    one = Job.parse({**LEAST, "executor": {"workers": 4}, "output": "a", "input": ["x"]})
    other = Job.parse({**LEAST, "output": "b", "input": ["y"]})
    assert one.corpus_settings() == other.corpus_settings()
    assert one.scan_settings() == other.scan_settings()
    assert Job.parse({**LEAST, "budget_tokens": 11}).scan_settings() == one.scan_settings()
    assert Job.parse({**LEAST, "extract": "none"}).scan_settings() != one.scan_settings()


def test_several_budgets_are_several_jobs_that_are_each_like_their_budget_alone():
    several = {key: value for key, value in LEAST.items() if key != "budget_tokens"}
    job = Job.parse({**several, "budgets": [95_000_000_000, 1_500_000, 1_001]})
    assert [(one.output, one.budget_tokens) for one in job.corpora()] == [
        ("out/95B", 95_000_000_000),
        ("out/1500K", 1_500_000),
        ("out/1001", 1_001),
    ]
    for one in job.corpora():
        alone = Job.parse({**several, "budget_tokens": one.budget_tokens})
        assert one.corpus_settings() == alone.corpus_settings()
    assert alone.corpora() == (alone,)


def test_null_turns_language_and_rules_off():
    job = Job.parse({**LEAST, "language": None, "rules": None})
    assert (job.language, job.rules) == (None, ())


@pytest.mark.parametrize("page", ["README.md", "docs/filters.md"])
def test_the_job_that_a_page_shows_is_one(page, tmp_path):
    (shown,) = re.findall(r"```yaml\n(# job\.yaml\n.*?)```", (REPOSITORY / page).read_text(), re.DOTALL)
    (tmp_path / "job.yaml").write_text(shown)
    assert Job.load(tmp_path / "job.yaml").resolved().budget_tokens
