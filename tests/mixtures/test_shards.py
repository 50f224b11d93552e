import json

import numpy as np
import pytest

from common.errors import InputError, IntegrityError, SettingsError
from common.tokenizer import END_OF_TEXT, load_tokenizer
from mixtures.settings import TokenizeSettings
from mixtures.shards import TokenShards
from mixtures.tokenize import tokenize
from tests.mixtures.helpers import documents, make_source, write_jsonl


@pytest.fixture
def shards(tmp_path):
    """Four files, so that windows cross from one to the next."""
    for number in range(4):
        write_jsonl(tmp_path / "corpus" / f"{number}.jsonl", documents(3, f"part{number}"))
    tokenize(str(tmp_path / "corpus"), tmp_path / "data" / "web", TokenizeSettings(held_out_fraction=0))
    return TokenShards(tmp_path / "data" / "web")


def in_one_row(shards: TokenShards) -> np.ndarray:
    return np.concatenate([np.fromfile(path, dtype="<u2") for path in sorted(shards.folder.glob("*.ds"))])


def edit_manifest(shards: TokenShards, **changes) -> None:
    path = shards.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("context_length", [1, 7, 64, 1000])
def test_windows_are_cuts_of_the_whole_row_that_overlap_by_one(shards, context_length):
    row = in_one_row(shards)
    count = shards.windows(context_length)
    assert count == (len(row) - 1) // context_length
    for window in range(count):
        start = window * context_length
        assert shards.read(window, context_length).tolist() == row[start : start + context_length + 1].tolist()


def test_the_windows_predict_every_token_but_the_first_exactly_once(shards):
    length = shards.tokens - 1
    divisor = next(d for d in range(2, length + 1) if length % d == 0)
    targets = np.concatenate([shards.read(i, divisor)[1:] for i in range(shards.windows(divisor))])
    assert targets.tolist() == in_one_row(shards)[1:].tolist()


@pytest.mark.parametrize("window", [-1, 10**6])
def test_a_window_that_is_not_there_is_refused(shards, window):
    with pytest.raises(SettingsError, match="windows, asked for"):
        shards.read(window, 64)


def test_a_context_length_of_zero_is_refused(shards):
    with pytest.raises(SettingsError, match="at least 1, got 0"):
        shards.windows(0)


def test_datatrove_reads_the_same_tokens_and_document_ends(shards):
    from datatrove.utils.dataset import DatatroveFileDataset

    path = shards.folder / "part-00001.ds"
    row = np.fromfile(path, dtype="<u2")
    dataset = DatatroveFileDataset(str(path), seq_len=15, token_size=2, return_positions=True)
    read = [dataset[i] for i in range(len(dataset))]
    assert np.concatenate([item["input_ids"] for item in read]).tolist() == row[: 16 * len(read)].tolist()
    # datatrove counts the position from the document ends in the index: it is 0 after every end-of-text token
    positions = np.concatenate([item["positions"] for item in read])
    after_end = np.flatnonzero(row[: len(positions) - 1] == END_OF_TEXT) + 1
    assert len(after_end) > 0
    assert (positions[after_end] == 0).all()


def test_the_folder_reader_of_datatrove_and_nanotron_gives_every_file_in_order(shards):
    from datatrove.utils.dataset import DatatroveFolderDataset

    dataset = DatatroveFolderDataset(str(shards.folder), seq_len=15, filename_pattern="*.ds", token_size=2)
    files = [np.fromfile(path, dtype="<u2") for path in sorted(shards.folder.glob("*.ds"))]
    windows = [row[: len(row) // 16 * 16].reshape(-1, 16) for row in files]  # its windows do not cross files
    assert [item["input_ids"].tolist() for item in map(dataset.__getitem__, range(len(dataset)))] == [
        window.tolist() for row in windows for window in row
    ]


def test_the_merger_of_datatrove_makes_one_file_of_the_same_documents(shards, tmp_path):
    from datatrove.pipeline.tokens import DocumentTokenizerMerger

    merger = DocumentTokenizerMerger(
        str(shards.folder), str(tmp_path / "merged"), "all", shuffle=False, save_final_metadata=False, progress=False
    )
    merger.run()
    (merged,) = (tmp_path / "merged").glob("*.ds")
    assert np.fromfile(merged, dtype="<u2").tolist() == in_one_row(shards).tolist()
    ends = np.fromfile(f"{merged}.index", dtype="<u8")
    assert ends.tolist() == (np.flatnonzero(in_one_row(shards) == END_OF_TEXT) + 1).tolist()


def test_shards_verify_as_they_were_written(shards):
    shards.verify()


def test_shards_of_another_tokenizer_are_refused(shards):
    edit_manifest(shards, tokenizer={"name": "llama", "digest": "beef" * 8})
    with pytest.raises(
        IntegrityError, match=f"llama beefbeefbeef, the model's tokenizer is {load_tokenizer().digest[:12]}"
    ):
        TokenShards(shards.folder)


def test_a_folder_of_something_else_is_refused(shards, tmp_path):
    edit_manifest(shards, kind="corpus")
    with pytest.raises(InputError, match="its manifest says corpus"):
        TokenShards(shards.folder)
    with pytest.raises(InputError, match=r"none does not exist: make it with `mixtures tokenize"):
        TokenShards(tmp_path / "none")


def test_a_shortened_file_is_refused_when_it_is_opened(shards):
    path = shards.folder / "part-00002.ds"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(IntegrityError, match=r"part-00002\.ds is missing or not"):
        TokenShards(shards.folder)


def test_a_changed_byte_is_found_by_verify(shards):
    path = shards.folder / "part-00003.ds"
    path.write_bytes(b"\x01" + path.read_bytes()[1:])
    with pytest.raises(IntegrityError, match=r"part-00003\.ds is not the file that the manifest lists"):
        TokenShards(shards.folder).verify()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda row, ends: (np.append(row[:-1], 5), ends), "does not end with the end-of-text token"),
        (lambda row, ends: (np.append(END_OF_TEXT, row[1:]), ends), "stands inside a document"),
        (lambda row, ends: (np.append(50_295, row[1:]), ends), "token id 50295, the ids end at 50294"),
        (lambda row, ends: (row, ends[:-1]), "does not divide"),
        (lambda row, ends: (row, ends[::-1]), "does not divide"),
        (lambda row, ends: (row, ends[:0]), "does not divide"),
    ],
)
def test_tokens_that_break_the_format_are_found_though_their_sha256_is_right(tmp_path, spoil, complaint):
    from common.files import file_entries

    folder = make_source(tmp_path / "data", "web", 5)
    shards = TokenShards(folder)
    row, ends = spoil(in_one_row(shards), np.fromfile(folder / "part-00000.ds.index", dtype="<u8"))
    row.astype("<u2").tofile(folder / "part-00000.ds")
    ends.astype("<u8").tofile(folder / "part-00000.ds.index")
    edit_manifest(shards, files=file_entries(folder, {"part-00000.ds": 5, "part-00000.ds.index": 5}))
    with pytest.raises(IntegrityError, match=complaint):
        TokenShards(folder).verify()
