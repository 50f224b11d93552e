"""The job file: strict, explained, complete."""

import pytest

from common.errors import SettingsError
from filters.job import RULE_NAMES, Job
from filters.rules import RULES

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
        ({"extract": "magic"}, "'extract': Input should be 'resiliparse', 'trafilatura' or 'none'"),
        ({"min_score": 3}, "give budget_tokens or min_score, one of them; the job has both"),
        ({"budget_tokens": None}, "the job has neither"),
        ({"budget_tokens": 0}, "'budget_tokens': Input should be greater than 0, got 0"),
        ({"executor": {"kind": "slurm"}}, "'executor.kind': Input should be 'local'"),
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


def test_null_turns_language_and_rules_off():
    job = Job.parse({**LEAST, "language": None, "rules": None})
    assert (job.language, job.rules) == (None, ())
