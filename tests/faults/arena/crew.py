"""The processes of scripted patterns: one forking parent for each Python environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from tests.faults.arena.patterns.forking import Child, Parent

_NURSERY: Final = Path(__file__).parent / "patterns" / "nursery.py"


class Crew:
    """Starts scripts in one Python environment. Threads may share it."""

    def __init__(self, python: Path) -> None:
        """Start the parent; it imports while the first runs prepare."""
        self._parent = Parent([str(python), "-W", "ignore", str(_NURSERY)])

    def start(self, script: Path, orders: dict[str, Any], output: Path) -> Child:
        """Start a script."""
        return self._parent.start({"script": str(script), "orders": orders, "output": str(output)})

    def close(self) -> None:
        """End the parent, and with it what still runs."""
        self._parent.close()
