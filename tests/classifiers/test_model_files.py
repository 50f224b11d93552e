import json
import shutil

import pytest

from classifiers import model_files
from classifiers.encoders import TransformerEncoder
from classifiers.model_files import folder_digest, resolve
from common.errors import InputError, IntegrityError, SettingsError
from tests.classifiers.architectures import build


def test_a_directory_without_safetensors_is_not_opened(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(SettingsError, match="holds no safetensors weights"):
        TransformerEncoder(str(tmp_path))


def test_a_missing_directory_is_named():
    with pytest.raises(InputError, match=r"\./nowhere does not exist"):
        resolve("./nowhere")


def test_a_name_that_the_hub_does_not_give_is_named():
    with pytest.raises(InputError, match="no encoder 'nobody/nothing'"):
        resolve("nobody/nothing")


def test_a_repackaged_default_is_refused(monkeypatch):
    monkeypatch.setitem(model_files.DEFAULT_SHA256, "tokenizer.json", "0" * 64)
    with pytest.raises(IntegrityError, match=r"tokenizer\.json is not the genuine"):
        resolve("all-MiniLM-L6-v2")


def test_the_digest_follows_the_files_that_change_an_embedding(tmp_path):
    def digest():
        folder_digest.cache_clear()
        return folder_digest(tmp_path)

    (tmp_path / "config.json").write_text("{}")
    before = digest()
    (tmp_path / "README.md").write_text("new words")
    assert digest() == before
    (tmp_path / "config.json").write_text('{"hidden_size": 3}')
    assert digest() != before


@pytest.fixture
def copy(tmp_path, tiny_encoder):
    return shutil.copytree(tiny_encoder, tmp_path / "model")


def refused(folder, complaint):
    with pytest.raises(SettingsError, match=complaint) as caught:
        TransformerEncoder(str(folder))
    assert "\n" not in str(caught.value)
    assert not (folder / "owned").exists()


def test_code_that_a_model_brings_along_is_never_run(copy):
    (copy / "evil.py").write_text(f"import pathlib\npathlib.Path({str(copy / 'owned')!r}).touch()\nclass Evil: pass\n")
    modules = json.loads((copy / "modules.json").read_text())
    modules[0]["type"] = "evil.Evil"
    (copy / "modules.json").write_text(json.dumps(modules))
    refused(copy, "cannot be read as a sentence-transformers model: .*'evil.Evil'")


def test_a_configuration_cannot_allow_its_own_code(copy):
    (copy / "evil.py").write_text(f"import pathlib\npathlib.Path({str(copy / 'owned')!r}).touch()\nclass Evil: pass\n")
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "sentence_bert_config.json").write_text(
        '{"model_args": {"trust_remote_code": true}, "trust_remote_code": true}'
    )
    refused(copy, "cannot be read as a sentence-transformers model")


def test_a_pickled_module_beside_safetensors_is_not_opened(tmp_path):
    folder = build(tmp_path, "Bert", dense=5)
    dense = next(folder.glob("2_Dense/model.safetensors"))
    dense.rename(dense.with_name("pytorch_model.bin"))
    refused(folder, r"2_Dense/pytorch_model\.bin is not safetensors")
