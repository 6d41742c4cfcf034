"""Dagster's home under SEGOPS_HOME, with the settings that come with the package."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from segops_orchestration.settings import Settings


def prepare_dagster_home(settings: Settings) -> Path:
    """Make the directory that DAGSTER_HOME should name, with the package's ``dagster.yaml`` in it; returns it.

    The file is written anew each time, so that an upgrade of the package takes effect.
    """
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    packaged = files("segops_orchestration").joinpath("dagster.yaml").read_bytes()
    # Another process may be reading it at this moment: it sees the old file or the new one.
    temporary = home / f".dagster.yaml.{os.getpid()}"
    temporary.write_bytes(packaged)
    temporary.replace(home / "dagster.yaml")
    return home
