"""Write docs/reference/openapi.json from the API's table of routes: ``python -m tools.openapi``."""  # noqa: INP001

from __future__ import annotations

import json
from pathlib import Path

from keeper.web.openapi import document

__all__ = ["main"]

_TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference" / "openapi.json"


def main() -> None:
    """Write the file."""
    _TARGET.write_text(json.dumps(document(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
