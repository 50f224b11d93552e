import gzip
import json
import multiprocessing
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common.errors import BusyError, InputError, IntegrityError
from common.files import file_entries, lock, write_json
from common.tokenizer import END_OF_TEXT, load_tokenizer
from mixtures import tokenize as module
from mixtures.settings import TokenizeSettings
from mixtures.tokenize import is_held_out, plan, tokenize
from tests.conftest import shared
from tests.mixtures.helpers import documents, folder_bytes, write_jsonl

SETTINGS = TokenizeSettings(held_out_fraction=0.2)


def decoded(folder) -> list[str]:
    """Texts of all documents of a folder of shards."""
    texts = []
    for path in sorted(folder.glob("*.ds")):
        row = np.fromfile(path, dtype="<u2").tolist()
        start = 0
        for end in np.fromfile(f"{path}.index", dtype="<u8").tolist():
            assert row[end - 1] == END_OF_TEXT
            texts.append(load_tokenizer().decode(row[start : end - 1]))
            start = end
    return texts


def write_corpus(folder, rows) -> None:
    """A corpus directory as `filters run` makes it."""
    (folder / "dropped").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-00000.parquet")
    pq.write_table(pa.Table.from_pylist(documents(5, "dropped")), folder / "dropped" / "part-00000.parquet")
    counts = {"part-00000.parquet": len(rows), "dropped/part-00000.parquet": 5}
    write_json(folder / "manifest.json", {"kept_tokens": 1000, "files": file_entries(folder, counts)})


def test_every_document_is_in_the_shards_or_held_out_exactly_once(tmp_path):
    rows = documents(200)
    manifest = tokenize(str(write_jsonl(tmp_path / "c.jsonl", rows)), tmp_path / "web", SETTINGS)
    held_out = pq.read_table(tmp_path / "web" / "held_out.parquet").to_pylist()
    assert decoded(tmp_path / "web") == [r["text"] for r in rows if not is_held_out(r["id"], 0.2)]
    assert held_out == [row for row in rows if is_held_out(row["id"], 0.2)]
    assert manifest["documents"] + manifest["held_out"]["documents"] == 200
    assert manifest["tokens"] == sum(load_tokenizer().count(text) + 1 for text in decoded(tmp_path / "web"))


def test_the_choice_of_held_out_documents_hits_its_share_and_hangs_on_the_id_alone():
    chosen = [is_held_out(f"id-{i}", 0.01) for i in range(100_000)]
    assert 870 < sum(chosen) < 1130  # four standard deviations
    assert not is_held_out("anything", 0.0)
    # a larger share holds out what a smaller one did, and more
    assert all(is_held_out(f"id-{i}", 0.1) for i in range(100_000) if chosen[i])


def test_one_file_and_ten_files_hold_out_the_same_documents(tmp_path):
    rows = documents(100)
    write_jsonl(tmp_path / "one" / "a.jsonl", rows)
    for i in range(10):
        write_jsonl(tmp_path / "ten" / f"{i}.jsonl", rows[i * 10 : i * 10 + 10])
    for name in ("one", "ten"):
        tokenize(str(tmp_path / name), tmp_path / "data" / name, SETTINGS)
    tables = [pq.read_table(tmp_path / "data" / name / "held_out.parquet") for name in ("one", "ten")]
    assert tables[0].equals(tables[1])
    assert decoded(tmp_path / "data" / "one") == decoded(tmp_path / "data" / "ten")


def test_gzip_parquet_and_corpus_directories_give_the_tokens_that_jsonl_gives(tmp_path):
    rows = documents(30)
    plain = write_jsonl(tmp_path / "plain.jsonl", rows)
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "table.parquet")
    write_corpus(tmp_path / "corpus", rows)
    hashes = [
        tokenize(str(tmp_path / name), tmp_path / "data" / name, SETTINGS)["content_hash"]
        for name in ("plain.jsonl", "packed.jsonl.gz", "table.parquet", "corpus")
    ]
    assert len(set(hashes)) == 1


def test_a_folder_of_text_files_is_a_corpus_and_what_is_not_utf8_is_counted(tmp_path):
    code = tmp_path / "code"
    (code / "inner").mkdir(parents=True)
    (code / "a.py").write_text("x = 1\n")
    (code / "inner" / "b.py").write_text("\ufeffy = 'ü'\n", encoding="utf-8")
    (code / "latin.py").write_bytes("# é\n".encode("latin-1"))
    (code / "empty.py").write_text("")
    (code / "notes.txt").write_text("not code")
    manifest = tokenize(str(code), tmp_path / "out", TokenizeSettings(text_files="*.py", held_out_fraction=0))
    assert decoded(tmp_path / "out") == ["x = 1\n", "y = 'ü'\n"]
    assert manifest["skipped"] == {"empty": 1, "not_utf8": 1}


def test_an_end_of_text_mark_in_a_page_stays_plain_text(tmp_path):
    rows = [{"id": "a", "text": "one <|endoftext|> two"}]
    manifest = tokenize(
        str(write_jsonl(tmp_path / "c.jsonl", rows)), tmp_path / "o", TokenizeSettings(held_out_fraction=0)
    )
    assert decoded(tmp_path / "o") == ["one <|endoftext|> two"]
    assert manifest["documents"] == 1


def test_a_lone_surrogate_is_replaced_in_shards_and_held_out_alike(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"id": "id-\\ud800", "text": "a \\ud800 b"}\n{"id": 7, "text": "more"}\n')
    fraction = 0.5
    tokenize(str(tmp_path / "c.jsonl"), tmp_path / "o", TokenizeSettings(held_out_fraction=fraction))
    held_out = pq.read_table(tmp_path / "o" / "held_out.parquet").to_pylist()
    assert len(decoded(tmp_path / "o")) + len(held_out) == 2


def test_the_same_documents_and_settings_give_the_same_bytes_for_any_number_of_threads(tmp_path):
    corpus = str(write_jsonl(tmp_path / "c.jsonl", documents(300)))
    for threads in (1, 4):
        tokenize(corpus, tmp_path / str(threads), SETTINGS.model_copy(update={"threads": threads}))
    assert folder_bytes(tmp_path / "1") == folder_bytes(tmp_path / "4")


def test_a_rerun_does_nothing_and_changed_settings_replace_the_result(tmp_path):
    corpus, out = str(write_jsonl(tmp_path / "c.jsonl", documents(50))), tmp_path / "web"
    first = tokenize(corpus, out, SETTINGS)
    before = (out / "manifest.json").stat().st_ino
    assert tokenize(corpus, out, SETTINGS) == first
    assert (out / "manifest.json").stat().st_ino == before
    changed = tokenize(corpus, out, TokenizeSettings(held_out_fraction=0))
    assert (changed["documents"], changed["held_out"]["documents"]) == (50, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.jsonl", "web"]


def test_a_result_that_lost_a_file_is_made_again(tmp_path):
    corpus, out = str(write_jsonl(tmp_path / "c.jsonl", documents(50))), tmp_path / "web"
    tokenize(corpus, out, SETTINGS)
    whole = folder_bytes(out)
    (out / "part-00000.ds").unlink()
    tokenize(corpus, out, SETTINGS)
    assert folder_bytes(out) == whole


def test_finished_units_are_not_tokenized_again(tmp_path, monkeypatch):
    for i in range(3):
        write_jsonl(tmp_path / "c" / f"{i}.jsonl", documents(20, f"part{i}"))
    write_jsonl(tmp_path / "c" / "3.jsonl", [{"id": "x", "text": 5}])
    with pytest.raises(InputError, match=r"3\.jsonl, document 1: 'text' must hold a string, got 5"):
        tokenize(str(tmp_path / "c"), tmp_path / "web", SETTINGS)
    assert not (tmp_path / "web").exists()
    write_jsonl(tmp_path / "c" / "3.jsonl", documents(20, "mended"))
    done = []
    original = module._tokenize_unit
    monkeypatch.setattr(module, "_tokenize_unit", lambda unit, *rest: (done.append(unit.files), original(unit, *rest)))
    tokenize(str(tmp_path / "c"), tmp_path / "web", SETTINGS)
    assert [files[0].rsplit("/")[-1] for files in done] == ["3.jsonl"]
    tokenize(str(tmp_path / "c"), tmp_path / "unbroken", SETTINGS)
    assert folder_bytes(tmp_path / "web") == folder_bytes(tmp_path / "unbroken")


def tokenize_and_tell(corpus: str, out: Path, told) -> None:
    """Tokenize in a process that is to be killed; say when a batch is done, and when the units are put together."""
    entries = module.file_entries
    module.file_entries = lambda *args: (told.send("assembling"), entries(*args))[1]
    tokenize(corpus, out, SETTINGS, report=lambda _: told.send("batch"))


def test_killed_ten_times_a_rerun_gives_the_bytes_of_an_unbroken_run(tmp_path):
    for i in range(12):
        write_jsonl(tmp_path / "c" / f"{i:02d}.jsonl", documents(100, f"part{i}", words=60))
    tokenize(str(tmp_path / "c"), tmp_path / "unbroken", SETTINGS)
    out = tmp_path / "data" / "killed"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mixtures.tokenize", "pyarrow.parquet", "datatrove.pipeline.tokens.tokenizer"])
    moments = [*([number, "batch"] for number in range(1, 9)), [1, "assembling"], [1, "assembling"]]
    for kill, (awaited, word) in enumerate(moments):
        told, telling = context.Pipe(duplex=False)
        process = context.Process(target=tokenize_and_tell, args=(str(tmp_path / "c"), out, telling))
        process.start()
        telling.close()
        heard = 0
        while heard < awaited:
            heard += told.recv() == word
        time.sleep(0.003 * (kill % 4) if word == "batch" else 0)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert not out.exists()
    tokenize(str(tmp_path / "c"), out, SETTINGS)
    assert folder_bytes(out) == folder_bytes(tmp_path / "unbroken")
    assert [p.name for p in out.parent.iterdir()] == ["killed"]


def test_a_text_without_an_id_is_named_by_what_it_says(tmp_path):
    rows = [{"text": f"text {i % 60}"} for i in range(120)]
    settings = TokenizeSettings(held_out_fraction=0.2, id_column="text")
    tokenize(str(write_jsonl(tmp_path / "c.jsonl", rows)), tmp_path / "web", settings)
    held_out = pq.read_table(tmp_path / "web" / "held_out.parquet").to_pylist()
    assert 0 < len(held_out) < 60
    # equal texts are on one side
    assert not {row["text"] for row in held_out} & set(decoded(tmp_path / "web"))
    assert len({row["id"] for row in held_out}) * 2 == len(held_out)


@pytest.mark.parametrize("shape", ["plain", "shuffled and in three files"])
def test_a_saved_dataset_gives_the_tokens_that_jsonl_gives(tmp_path, shape):
    import datasets

    rows = documents(60)
    dataset = datasets.Dataset.from_list(rows)
    if shape != "plain":
        dataset = dataset.shuffle(seed=1)
        rows = dataset.to_list()
    dataset.save_to_disk(str(tmp_path / "saved"), num_shards=1 if shape == "plain" else 3)
    again = datasets.load_from_disk(str(tmp_path / "saved"))
    again.map(lambda row: {"text": row["text"].upper()})  # its cache lies in the same folder
    assert len(list((tmp_path / "saved").glob("cache-*.arrow"))) == 1
    tokenize(str(tmp_path / "saved"), tmp_path / "data" / "web", SETTINGS)
    assert decoded(tmp_path / "data" / "web") == [r["text"] for r in rows if not is_held_out(r["id"], 0.2)]


def test_a_saved_dataset_of_splits_asks_for_one(tmp_path):
    import datasets

    split = datasets.Dataset.from_list(documents(3))
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(InputError, match=r"splits train, test: name one, .*saved/train$"):
        plan(str(tmp_path / "saved"), tmp_path / "web", SETTINGS)
    assert len(plan(str(tmp_path / "saved" / "train"), tmp_path / "web", SETTINGS).units) == 1


def test_two_processes_may_not_write_the_same_shards(tmp_path):
    corpus = str(write_jsonl(tmp_path / "c.jsonl", documents(5)))
    with lock(tmp_path / ".tokenizing-web"), pytest.raises(BusyError, match="another process"):
        tokenize(corpus, tmp_path / "web", SETTINGS)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("", "no document is left for the shards: 0 held out"),
        ('{"id": "a", "text": ""}\n', "0 held out, skipped: 1 empty"),
        ('{"id": "a", "body": "x"}\n', "line 1: no field 'text'; it has id, body"),
        ('{"id": "a", "text": null}\n', "document 1: 'text' must hold a string, got None"),
        ('{"id": "a", "text": ["x"]}\n', "document 1: 'text' must hold a string, got .'x'."),
        ('{"id": null, "text": "x"}\n', "document 1: 'id' must hold an id, got None"),
        ('{"id": "a", "text": "x"\n', "after line"),
    ],
)
def test_a_bad_corpus_is_refused_and_leaves_nothing(tmp_path, lines, complaint):
    (tmp_path / "c.jsonl").write_text(lines)
    with pytest.raises(InputError, match=complaint):
        tokenize(str(tmp_path / "c.jsonl"), tmp_path / "web", TokenizeSettings(held_out_fraction=0))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.jsonl"]


def test_a_missing_corpus_and_a_foreign_output_folder_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"none\.jsonl does not exist"):
        plan(str(tmp_path / "none.jsonl"), tmp_path / "o", SETTINGS)
    with pytest.raises(InputError, match="holds no file that matches"):
        plan(str(tmp_path), tmp_path / "o", TokenizeSettings(text_files="*.py"))
    corpus = write_jsonl(tmp_path / "c" / "c.jsonl", documents(5))
    with pytest.raises(InputError, match="exists and is not a folder of token shards"):
        plan(str(corpus), tmp_path / "c", SETTINGS)


def test_a_corpus_whose_file_is_not_the_one_listed_is_refused(tmp_path):
    write_corpus(tmp_path / "corpus", documents(5))
    pq.write_table(pa.Table.from_pylist(documents(6)), tmp_path / "corpus" / "part-00000.parquet")
    with pytest.raises(IntegrityError, match=r"part-00000\.parquet is not the file that the manifest"):
        plan(str(tmp_path / "corpus"), tmp_path / "o", SETTINGS)


def test_real_code_comes_back_as_it_was(tmp_path):
    source = shared("sources/code.jsonl.gz")
    with gzip.open(source, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for _, line in zip(range(40), stream, strict=False)]
    tokenize(str(write_jsonl(tmp_path / "c.jsonl", rows)), tmp_path / "code", TokenizeSettings(held_out_fraction=0))
    assert decoded(tmp_path / "code") == [row["text"] for row in rows]
