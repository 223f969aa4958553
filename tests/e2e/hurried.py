"""``python -m keeper`` whose daemon looks KEEPER_TEST_PACE times as often as its config says: whole seconds are long."""

from __future__ import annotations

import os

from keeper.app import App
from keeper.cli import main
from keeper.engine.supervisor import Cadence

PACE = float(os.environ["KEEPER_TEST_PACE"])
leisurely = App.watches


def watches(self: App) -> list:
    found = leisurely(self)
    for watch in found:
        watch.cadence = Cadence(watch.cadence.gas_seconds / PACE, watch.cadence.positions_seconds / PACE)
    return found


if __name__ == "__main__":
    App.watches = watches
    main()
