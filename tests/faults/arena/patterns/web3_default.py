"""web3.py as its documentation shows it: signing middleware, ``transact``, wait for the receipt; again on a time-out."""

from __future__ import annotations

import time

from common import Orders, scaled
from web3.middleware import SignAndSendRawMiddlewareBuilder

orders = Orders.read()
w3 = orders.connect()
account = orders.account
w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
w3.eth.default_account = account.address
counter = orders.contract_at(w3)

#: Times that a transaction is sent before it is given up.
ATTEMPTS = 5


def bump(intent: int) -> None:
    """Send one intent; the middleware fills in nonce and fees."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            tx_hash = counter.functions.bump(intent).transact()
            w3.eth.wait_for_transaction_receipt(tx_hash, timeout=scaled(120), poll_latency=scaled(2))
        except Exception:
            if attempt == ATTEMPTS:
                raise
            time.sleep(scaled(10))
        else:
            return


for intent in list(orders.open_ids()):
    try:
        bump(intent)
    except Exception as problem:
        orders.finish(intent, problem)
    else:
        orders.finish(intent)
