"""Small corpora and shards for the tests of mixtures."""

import json
from pathlib import Path

from mixtures.settings import TokenizeSettings
from mixtures.tokenize import tokenize


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def documents(count: int, name: str = "doc", words: int = 40) -> list[dict]:
    """Documents that differ from one another, and from those of another ``name``."""
    return [
        {"id": f"{name}-{i}", "text": " ".join(f"{name} {i * 7919 % 1000} {j}" for j in range(words))}
        for i in range(count)
    ]


def make_source(data: Path, name: str, count: int = 60) -> Path:
    """Shards of a source at ``data / name``."""
    corpus = write_jsonl(data.parent / "corpora" / f"{name}.jsonl", documents(count, name))
    tokenize(str(corpus), data / name, TokenizeSettings(held_out_fraction=0.1))
    return data / name


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
