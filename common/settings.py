"""Strict settings: frozen, unknown keys refused with a suggestion, one-line errors.

Every settings file is YAML that is checked against a pydantic model. There is no silent default for a misspelt key:
``inptu: crawl.warc.gz`` is refused and answered with the key that was probably meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from common.errors import InputError, SettingsError


class Settings(BaseModel):
    """Base of all settings: frozen, and every key must be known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "settings") -> Self:
        """Check ``values`` against this model.

        Args:
            values: the settings, nested as the model is.
            where: named at the front of an error, usually the file.
        Raises:
            SettingsError: one line that names each offending key, its value and the rule.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(f"{where}: {explain(error, cls)}") from error

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a YAML file and check it.

        Raises:
            InputError: if the file cannot be read.
            SettingsError: if it is not YAML, repeats a key, or does not fit the model.
        """
        return cls.parse(read_yaml(path), where=str(path))


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping that a YAML file holds; a key that stands twice is an error, not an override."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        values = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 (a SafeLoader: plain data only)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path} must hold a mapping of settings, got {type(values).__name__}")
    return values


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """All complaints of a validation error as one line, with a suggestion for each unknown key."""
    complaints = []
    for item in error.errors():
        place = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            complaints.append(f"unknown key '{place}'{_suggestion(item['loc'], model)}")
        elif item["type"] == "missing":
            complaints.append(f"'{place}' is missing")
        else:
            rule = item["msg"].removeprefix("Value error, ")
            # a complaint about the whole (a model validator) names its values itself
            complaints.append(f"'{place}': {rule}, got {item['input']!r:.120}" if place else rule)
    return "; ".join(complaints)


def _suggestion(location: tuple[str | int, ...], model: type[BaseModel]) -> str:
    known: set[str] = set()
    for candidate in _models_at(location[:-1], model):
        known |= set(candidate.model_fields)
    close = difflib.get_close_matches(str(location[-1]), sorted(known), n=1, cutoff=0.6)
    if close:
        return f". Did you mean '{close[0]}'?"
    return f" (known keys: {', '.join(sorted(known))})" if known else ""


def _models_at(location: tuple[str | int, ...], model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The models that may stand at ``location`` inside ``model`` (several where a field is a union)."""
    if not location:
        yield model
        return
    field = model.model_fields.get(str(location[0]))
    for inner in _models_in(field.annotation) if field else ():
        rest = location[1:]
        while rest and (isinstance(rest[0], int) or rest[0] not in inner.model_fields):
            rest = rest[1:]  # a list index or the tag of a union
        yield from _models_at(rest, inner)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
