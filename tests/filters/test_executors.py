"""Processes of this machine; tests/filters/test_stages.py has whole jobs."""

import pytest

from filters.executors.settings import Local
from tests.filters.executor_contract import (  # noqa: F401 (tests of the contract)
    test_a_bug_in_a_unit_is_raised_here_with_its_name,
    test_a_killed_worker_is_noticed_and_a_rerun_ends_what_it_was_at,
    test_every_unit_is_done_once_and_finished_ones_are_not_done_again,
    test_the_error_of_a_unit_is_raised_here_and_its_folder_is_not_published,
)


@pytest.fixture
def executor():
    return Local(workers=2)
