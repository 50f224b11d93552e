"""The run directory: which settings it belongs to, and whether it is finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from common.errors import EduSieveError, InputError, IntegrityError, SettingsError
from common.files import check_files, publish_file, read_manifest
from train.settings import TrainSettings, differences

SETTINGS = "settings.yaml"
EXPORT = "export"
AUTOMATIC = ("precision", "attention")


def claim(run: Path, settings: TrainSettings) -> None:
    """Make ``run`` the directory of these settings."""
    with publish_file(run / SETTINGS) as temporary:
        temporary.write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def adopt(run: Path, settings: TrainSettings) -> TrainSettings:
    """The settings to use in ``run``: what is ``auto`` is what the run began with, if it has begun.

    Raises:
        SettingsError: if it belongs to a run of other settings, naming each.
        InputError: if it holds something else.
    """
    if (run / SETTINGS).is_file():
        old = TrainSettings.load(run / SETTINGS)
        began = {name: getattr(old, name) for name in AUTOMATIC if getattr(settings, name) == "auto"}
        settings = settings.model_copy(update=began)
        changed = differences(old, settings)
        if changed:
            raise SettingsError(f"{run} belongs to a run of other settings ({'; '.join(changed)}): give another --out")
    elif run.exists() and (not run.is_dir() or any(not path.name.startswith(".") for path in run.iterdir())):
        raise InputError(f"{run} exists and is not a run directory (it has no {SETTINGS}): give another --out")
    return settings


def settings_of(run: Path) -> TrainSettings:
    """The settings of a run.

    Raises:
        InputError: if ``run`` is not a run directory.
    """
    if not (run / SETTINGS).is_file():
        raise InputError(f"{run} is not a run directory: it has no {SETTINGS}")
    return TrainSettings.load(run / SETTINGS)


def finished(run: Path, settings: TrainSettings) -> dict[str, Any] | None:
    """The manifest of the exported model, if the run is finished and the export whole."""
    try:
        manifest = read_manifest(run / EXPORT)
        check_files(run / EXPORT, manifest["files"])
    except (EduSieveError, KeyError):
        return None
    return manifest if manifest.get("step") == settings.steps else None


def exported(run: Path) -> Path:
    """The folder of the exported model.

    Raises:
        InputError: if the run has none yet.
        IntegrityError: if a file of it is damaged.
    """
    settings = settings_of(run)
    if not (run / EXPORT).is_dir():
        raise InputError(f"{run} has no exported model yet: continue the run with the command that began it")
    if not finished(run, settings):
        raise IntegrityError(f"{run / EXPORT} is damaged: run the command that made it again")
    return run / EXPORT
