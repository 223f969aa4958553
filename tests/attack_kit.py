"""What attacks on the whole way share: dying at a point, going on, editing a config, acting as somebody."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from app_kit import Recorder, open_local

from keeper.chain.client import EvmChain
from keeper.engine.lap import resume


class Killed(BaseException):
    """Stands for SIGKILL."""


class Hook(Recorder):
    """Does something to the world when an event is seen."""

    def __init__(self, name, act):
        super().__init__()
        self.name, self.act = name, act

    def emit(self, event):
        super().emit(event)
        if event.name.value == self.name:
            self.act()


def edit(config, old, new):
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1))


def drop_position(config, position_id):
    head, *blocks = re.split(r"(?=\[\[positions\]\])", config.read_text())
    config.write_text(head + "".join(b for b in blocks if f'id = "{position_id}"' not in b))


def begin_and_die(monkeypatch, config, point, count=1):
    """Begin a compound of the Aave position and die at a point."""
    left = [count]

    def reach(name):
        left[0] -= name == point
        if name == point and left[0] == 0:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("keeper.wiring._kill_point", lambda _: reach)
        with open_local(config) as app, pytest.raises(Killed):
            app.compound("usdc-aave")


def alter_receipts(patch, change):
    """Let every look tell receipts as ``change`` makes them; ``None`` hides one."""
    honest = EvmChain.sight

    def sight(self, account, hashes, heights=()):
        seen = honest(self, account, hashes, heights)
        told = {tx_hash: change(receipt) for tx_hash, receipt in seen.receipts.items()}
        return replace(seen, receipts={h: r for h, r in told.items() if r is not None})

    patch.setattr(EvmChain, "sight", sight)


def on_send(patch, context, act):
    """Do something right before each batch of transactions leaves."""
    honest = context.submitter.submit_many

    def submit_many(batch):
        act(batch)
        return honest(batch)

    patch.setattr(context.submitter, "submit_many", submit_many)


def quick(app, **changes):
    """The local chain's context with short patience."""
    short = {"confirm_timeout": 1.0, "poll_seconds": 0.05, "resend_seconds": 0.2, "bump_seconds": 0.1}
    return replace(app.contexts["local"], **(short | changes))


def go_on(app, farmer, seconds=1.0):
    context = quick(app, confirm_timeout=seconds, bump_seconds=0.2)
    return resume(context, app.book("local"), farmer)


def as_account(world, sender, to, data="0x", value=0):
    world.node.rpc("anvil_impersonateAccount", sender)
    world.node.rpc("eth_sendTransaction", {"from": sender, "to": to, "data": data, "value": hex(value)})
