"""The processes of scripted patterns: one forking parent for each Python environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_NURSERY: Final = Path(__file__).parent / "patterns" / "nursery.py"


class Crew:
    """Starts scripts in one Python environment. Threads may share it."""

    def __init__(self, python: Path) -> None:
        """Start the parent; it imports while the first runs prepare."""
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", str(_NURSERY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lock = threading.Lock()
        self._news = threading.Condition()
        self._born: list[int] = []
        self._ended: set[int] = set()
        threading.Thread(target=self._listen, name="crew", daemon=True).start()

    def start(self, script: Path, orders: dict[str, Any], output: Path) -> int:
        """Start a script; returns its process id."""
        order = {"script": str(script), "orders": orders, "output": str(output)}
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            with self._news:
                if not self._news.wait_for(lambda: self._born, timeout=60):
                    raise RuntimeError("the patterns' parent does not answer")
                return self._born.pop(0)

    def ended(self, pid: int) -> bool:
        """Whether a script is over."""
        with self._news:
            return pid in self._ended

    def kill(self, pid: int) -> None:
        """SIGKILL a script that is not over."""
        if not self.ended(pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait(self, pid: int, seconds: float) -> None:
        """Wait for a script's end."""
        with self._news:
            self._news.wait_for(lambda: pid in self._ended, timeout=seconds)

    def close(self) -> None:
        """End the parent, and with it what still runs."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                word = json.loads(line)
                with self._news:
                    if "pid" in word:
                        self._born.append(word["pid"])
                    else:
                        self._ended.add(word["ended"])
                    self._news.notify_all()
