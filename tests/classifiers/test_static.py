import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import lists, sampled_from, text
from safetensors.numpy import load_file, save_file

from classifiers.encoders import load_encoder
from classifiers.static import StaticEncoder, StaticModel, unknown_token, write_static
from common.errors import InputError, IntegrityError, SettingsError
from tests.classifiers.architectures import PIECES
from tests.classifiers.helpers import VOCABULARY, text_of_grade

TEXTS = [text_of_grade(n % 6, n, words=5 + 7 * (n % 9)) for n in range(20)]
WORDS = ["[PAD]", "[UNK]", *PIECES]
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), 6)).astype(np.float32)


def tokenizer():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    made = Tokenizer(models.WordPiece({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("static") / "model"
    write_static(path, VECTORS, tokenizer(), {})
    return path


@pytest.fixture(scope="module")
def model2vec():
    return pytest.importorskip("model2vec")


def embed(model, texts):
    return model.embed(model.tokenize(texts))[:, 0]


@given(texts=lists(text(max_size=80) | lists(sampled_from(VOCABULARY)).map(" ".join), min_size=1, max_size=4))
@settings(max_examples=25)
def test_model2vec_loads_what_we_write_and_gives_the_same_vectors(model2vec, folder, texts):
    expected = model2vec.StaticModel.from_pretrained(str(folder)).encode(texts)
    assert embed(StaticModel(str(folder)), texts) == pytest.approx(expected, abs=1e-5)


def test_a_long_text_has_the_same_vector_in_model2vec(model2vec, folder):
    long = " ".join(TEXTS * 3)
    assert len(StaticModel(str(folder)).tokenize([long])[0]) > 512
    expected = model2vec.StaticModel.from_pretrained(str(folder)).encode([long])
    assert embed(StaticModel(str(folder)), [long]) == pytest.approx(expected, abs=1e-5)


def test_what_model2vec_writes_is_read_with_its_shared_vectors_and_weights(model2vec, tmp_path):
    generator = np.random.default_rng(1)
    theirs = model2vec.StaticModel(
        VECTORS[:9].astype(np.float16),
        tokenizer(),
        {"normalize": False},
        weights=generator.uniform(0.1, 2, len(WORDS)).astype(np.float32),
        token_mapping=generator.integers(0, 9, len(WORDS)),
    )
    theirs.save_pretrained(tmp_path / "m")
    assert embed(StaticModel(str(tmp_path / "m")), TEXTS) == pytest.approx(theirs.encode(TEXTS), abs=2e-3)


def test_sentence_transformers_loads_what_we_write(folder):
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    assert embed(load_encoder(str(folder), 400, (0,)), TEXTS) == pytest.approx(expected, abs=1e-5)


def test_what_sentence_transformers_writes_is_read(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    theirs = SentenceTransformer(modules=[StaticEmbedding(tokenizer(), VECTORS)], device="cpu")
    theirs.save(str(tmp_path / "m"))
    assert embed(load_encoder(str(tmp_path / "m"), 400, (0,)), TEXTS) == pytest.approx(theirs.encode(TEXTS), abs=1e-5)


def test_an_unknown_word_says_nothing(folder):
    model = StaticModel(str(folder))
    assert model.tokenize(["energy 中 cell", "中"]) == [model.tokenize(["energy cell"])[0], []]
    assert embed(model, ["中", ""]).tolist() == [[0] * 6] * 2


def test_the_same_table_is_written_as_the_same_bytes(folder, tmp_path):
    write_static(tmp_path / "again", VECTORS, tokenizer(), {})
    first, second = ({f.name: f.read_bytes() for f in path.iterdir()} for path in (folder, tmp_path / "again"))
    assert first == second


def test_a_low_rank_change_is_added_to_the_table_of_this_model_alone(folder):
    changed = StaticModel(str(folder))
    up, down = np.zeros((len(WORDS), 2)), np.ones((2, 6))
    up[WORDS.index("energy")] = 0.5
    changed.add_adapters({"embeddings": (up, down)})
    assert embed(changed, ["energy"]) == pytest.approx(embed(StaticModel(str(folder)), ["energy"]) + 1, abs=1e-6)
    assert embed(changed, ["cell"]).tobytes() == embed(StaticModel(str(folder)), ["cell"]).tobytes()
    for name, wrong in (("embeddings", up[1:]), ("encoder.layer.0", up)):
        with pytest.raises(IntegrityError, match=f"'{name}' does not fit"):
            changed.add_adapters({name: (wrong, down)})


def test_progress_counts_every_document(folder):
    done = []
    model = StaticModel(str(folder))
    model.embed(model.tokenize(TEXTS * 20), advance=done.append)
    assert sum(done) == len(TEXTS) * 20


def test_layers_of_a_static_encoder_are_refused_with_the_remedy(folder):
    with pytest.raises(SettingsError, match=r"is a static encoder .*say layers 0 and static_dimensions 0"):
        load_encoder(str(folder), 400, (2, 3))


def test_a_table_of_another_vocabulary_is_refused(tmp_path):
    write_static(tmp_path / "m", VECTORS[1:], tokenizer(), {})
    with pytest.raises(IntegrityError, match=f"has {len(WORDS) - 1} vectors, and its tokenizer {len(WORDS)} tokens"):
        StaticModel(str(tmp_path / "m"))


def test_a_folder_that_lacks_its_tokenizer_or_its_table_is_named(folder, tmp_path):
    save_file(load_file(folder / "model.safetensors"), tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"it has no tokenizer\.json"):
        StaticModel(str(tmp_path))
    save_file({"other": VECTORS}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="it has no table of embeddings"):
        StaticModel(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(IntegrityError, match="is not a safetensors file"):
        StaticModel(str(tmp_path))


def test_nothing_but_a_static_encoder_is_replaced(folder, tmp_path):
    (tmp_path / "chapter.txt").write_text("years of work")
    with pytest.raises(SettingsError, match="is not a static encoder"):
        write_static(tmp_path, VECTORS, tokenizer(), {})
    assert [f.name for f in tmp_path.iterdir()] == ["chapter.txt"]
    write_static(folder, VECTORS, tokenizer(), {})
    assert json.loads((folder / "config.json").read_text())["hidden_dim"] == 6


def test_a_unigram_tokenizer_names_its_unknown_token_by_number():
    from tokenizers import Tokenizer, models

    assert unknown_token(Tokenizer(models.Unigram([("a", -1.0), ("b", -2.0), ("<unk>", -9.0)], unk_id=2))) == 2
    assert unknown_token(Tokenizer(models.BPE())) is None


def test_the_table_beside_a_transformer_averages_its_token_vectors():
    encoder = StaticEncoder.from_vectors(np.array([[0, 0], [1, 2], [3, -4]], np.float32))
    assert encoder.embed([[1, 2], [2], []]) == pytest.approx(np.array([[2, -1], [3, -4], [0, 0]]), abs=0.03)
