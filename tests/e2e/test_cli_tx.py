"""Transactions by hand on a real chain: pause, cancel, speed up, with and without a daemon, and the lost race."""

from __future__ import annotations

import json
import signal

import pytest
from app_kit import nonce, open_local, sent_by, write_config
from cli_kit import Line, Process, wait_for

pytestmark = pytest.mark.devnet

DAY = 86_400


@pytest.fixture
def config(fresh_world, tmp_path):
    return write_config(fresh_world, tmp_path)


@pytest.fixture
def line(config, capsys):
    return Line(config, capsys)


def test_harvest_on_the_wrong_chain_ends_like_doctor(line):
    text = line.config.read_text()
    line.config.write_text(text.replace("chain_id = 31337", "chain_id = 31338"))
    shown = line("harvest", "uni-farm", "--yes")
    assert shown.code == 78
    assert "31337" in shown.err
