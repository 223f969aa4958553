"""Sign once, keep the bytes in memory, send the same ones until there is a receipt; sign anew if the nonce is gone."""

from __future__ import annotations

import time
from typing import Any

from common import Orders, scaled
from web3.exceptions import TimeExhausted

orders = Orders.read()
w3 = orders.connect()
account = orders.account
counter = orders.contract_at(w3)

#: Times that the bytes are sent.
ATTEMPTS = 10


def sign(intent: int) -> Any:
    """Build and sign with the next free nonce."""
    nonce = w3.eth.get_transaction_count(account.address, "pending")
    tx = counter.functions.bump(intent).build_transaction({"from": account.address, "nonce": nonce})
    return account.sign_transaction(tx)


def bump(intent: int) -> None:
    """Send one intent."""
    signed = sign(intent)
    last: Exception | None = None
    for _ in range(ATTEMPTS):
        try:
            w3.eth.send_raw_transaction(signed.raw_transaction)
        except Exception as problem:
            last = problem
        try:
            w3.eth.wait_for_transaction_receipt(signed.hash, timeout=scaled(120), poll_latency=scaled(2))
        except TimeExhausted as problem:
            if "nonce too low" in str(last):
                signed = sign(intent)  # somebody else's transaction has our nonce, or so it seems
            last = problem
        except Exception as problem:
            last = problem
            time.sleep(scaled(10))
        else:
            return
    assert last is not None
    raise last


for intent in list(orders.open_ids()):
    try:
        bump(intent)
    except Exception as problem:
        orders.finish(intent, problem)
    else:
        orders.finish(intent)
