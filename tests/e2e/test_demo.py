"""The demo as a newcomer runs it: it ends well, says what it did, and leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

pytestmark = [pytest.mark.devnet, pytest.mark.slow]


def start(tmp_path: Path, mark: str, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "keeper", "demo", "--plain", "--seconds", "0", "--folder", str(tmp_path / "demo")]
    return subprocess.Popen(
        [*command, *options],
        env=os.environ | {"KEEPER_TEST_MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def running(mark: str) -> list[str]:
    """Every process that was started with the mark in its environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_a_fortnight_compounds_every_position_twice_and_beats_both_never_and_daily(tmp_path):
    mark = uuid.uuid4().hex
    demo = start(tmp_path, mark, "--days", "20", "--json")
    out, err = demo.communicate(timeout=280)
    assert demo.returncode == 0, err
    told = json.loads(out)
    assert told["schema"] == "keeper.demo/1"
    assert min(told["compounds"].values()) >= 2
    assert float(told["keeper_usd"]) > float(told["never_usd"])
    assert float(told["keeper_usd"]) > float(told["daily_usd"])
    assert "Nothing is left running" in err
    assert "compounded" in err
    assert running(mark) == []

    explained = subprocess.run(
        [sys.executable, "-m", "keeper", "-c", str(tmp_path / "demo" / "keeper.toml"), "explain", "uni-farm"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "threshold" in explained.stdout


def test_ctrl_c_leaves_nothing_running(tmp_path):
    mark = uuid.uuid4().hex
    demo = start(tmp_path, mark, "--days", "60")
    for line in demo.stdout:
        if line.startswith("day"):
            break
    assert any("anvil" in command for command in running(mark))
    os.killpg(demo.pid, signal.SIGINT)
    _, err = demo.communicate(timeout=30)
    assert demo.returncode == 130, err
    assert "Traceback" not in err
    deadline = time.monotonic() + 5
    while running(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running(mark) == []
