"""The reference pages say what the code does: every key, every exit code, every command."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

from keeper.cli.exits import MEANINGS, ExitCode
from keeper.config import models
from keeper.config.schema import SECTIONS

ROOT = Path(__file__).resolve().parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("config_reference", ROOT / "tools" / "config_reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_generator_writes() -> None:
    made = generator()

    assert made.PAGE.read_text() == made.render(), "run: python tools/config_reference.py"


def test_every_key_is_documented() -> None:
    page = generator().PAGE.read_text()
    tables = [*SECTIONS.values(), models.ChainConfig, models.FeedConfig, models.RouteConfig, models.PriceTokenConfig]
    tables += [models.KeystoreSigner, models.EnvKeySigner, models.WatchSigner, models.PositionConfig]
    tables += [models.ExchangeConfig, models.PlaceConfig, models.SanityConfig]
    tables += [models.PolicyConfig, models.BatchConfig, models.PayoutConfig, models.GasTopUpConfig]

    for model in tables:
        for key, field in model.model_fields.items():
            if model is models.PositionConfig and key not in model.written:
                continue
            assert field.description, f"{model.__name__}.{key} has no description"
            assert f"| `{key}` |" in page


def test_every_exit_code_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text()

    told = {int(code): text for code, text in re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)}

    assert told == {int(code): text for code, text in MEANINGS.items()}
    assert set(MEANINGS) == set(ExitCode)
