"""``python -m tests.filters.with_fake_scorer run JOB``: the command with a quick scorer, for tests that kill it."""

import sys

from filters import educational
from filters.cli import main
from tests.filters.crawls import FakeScorer

educational.load_scorer = lambda classifier: FakeScorer()

if __name__ == "__main__":
    sys.exit(main())
