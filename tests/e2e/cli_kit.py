"""What tests of whole commands share: a command line on the local world, in this process or as one of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from hurried import Hurried

from keeper.cli import execute as run


@dataclass
class Shown:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@dataclass
class Line:
    """A command line with a config."""

    config: Path
    capsys: Any

    def __call__(self, *args: str) -> Shown:
        self.capsys.readouterr()
        code = run(["--config", str(self.config), *args])
        shown = self.capsys.readouterr()
        return Shown(code, shown.out, shown.err)


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "NO_COLOR": "1", **changes}


@dataclass
class Process:
    """A keeper of its own; its log is read line by line as JSON."""

    config: Path
    log: Path
    args: tuple[str, ...] = ("run",)
    env: dict[str, str] = field(default_factory=dict)
    #: How many times as often as the config says the daemon looks; above 1 it is a ``Hurried`` one, without stdout.
    pace: int = 1

    def __enter__(self) -> Self:
        self._file = self.log.open("w")
        self._events: list[dict[str, Any]] = []
        self._read = 0
        argv, env = ["--config", str(self.config), "--log-format", "json", *self.args], environment(**self.env)
        if self.pace == 1:
            command = [sys.executable, "-m", "keeper", *argv]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._file, text=True, env=env)
        else:
            self.process = Hurried(argv, self.log, self.pace, env)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._file.close()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Everything that it has logged; only what is new is read."""
        with self.log.open("rb") as file:
            file.seek(self._read)
            lines = file.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        self._read += sum(map(len, whole))
        self._events += [json.loads(line) for line in whole if line.startswith(b"{") and line.endswith(b"}\n")]
        return list(self._events)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def until(self, name: str, count: int = 1, seconds: float = 40) -> list[dict[str, Any]]:
        return wait_for(lambda: len(self.named(name)) >= count and self.named(name), seconds, self.log.read_text)

    def finish(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)


def wait_for(condition: Callable[[], Any], seconds: float, explain: Callable[[], str] = str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"did not come within {seconds} s\n{explain()}")
