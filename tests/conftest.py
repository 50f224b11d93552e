"""Shared fixtures. Real data lies outside the repository; a test that needs it skips with a reason without it."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("DS_ACCELERATOR", "cpu")
os.environ["HF_HUB_OFFLINE"] = "1"  # a test must not depend on a hub

settings.register_profile("suite", deadline=None)  # a busy machine is no bug
settings.load_profile("suite")

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


def shared(name: str) -> Path:
    """A file of the real data, or a skip that names it."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"real data not present: {path}")
    return path
