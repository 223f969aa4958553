"""The shipped files are found in an installed wheel as in a checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from keeper.config import packaged
from keeper.config.packaged import chain_names, locate
from keeper.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def test_a_checkout_has_them() -> None:
    assert locate("keeper.example.toml") == ROOT / "config" / "keeper.example.toml"
    assert "bnb" in chain_names()


def test_a_missing_file_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"chains/none\.toml is missing from this installation"):
        locate("chains", "none.toml")


def test_a_wheel_has_them(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)

    asked = "from keeper.config.packaged import *; print(locate('keeper.example.toml')); print(*chain_names())"
    told = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert told == [str(site / "keeper/config/files/keeper.example.toml"), " ".join(chain_names())]
    assert (site / "keeper/config/files/templates/env.example").is_file()


def test_both_places_are_where_the_module_looks() -> None:
    assert Path(packaged.__file__).parent == ROOT / "keeper" / "config"
