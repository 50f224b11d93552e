import json

import pytest

from tests.classifiers.helpers import VOCABULARY, grading


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    """A sentence-transformers model with random weights and three layers, as a directory."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *VOCABULARY,
        *letters,
        *(f"##{c}" for c in letters),
        ".",
        "!",
    ]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(dict.fromkeys(words)), **shape)).save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    network = Transformer(str(folder / "bert"), max_seq_length=64)
    SentenceTransformer(modules=[network, Pooling(16), Normalize()]).save(str(folder / "model"))
    return folder / "model"


@pytest.fixture(scope="session")
def labels_file(tmp_path_factory):
    """120 gradings as JSONL."""
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    path.write_text("".join(json.dumps(grading(number)) + "\n" for number in range(120)))
    return path


@pytest.fixture(scope="session")
def trained(tiny_encoder):
    """A classifier trained on the small world, and its out-of-fold scores."""
    from classifiers.recipe import Recipe
    from classifiers.training import prepare, train
    from tests.classifiers.helpers import small_labels

    recipe = Recipe(encoder=str(tiny_encoder), layers=(1, 2), static_dimensions=8, folds=3)
    return train(prepare(recipe, small_labels()), small_labels())
