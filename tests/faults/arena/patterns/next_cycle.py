"""The keeper-bot loop: try everything that is due, log what fails, build a new transaction in the next cycle."""

from __future__ import annotations

import logging
import time

from common import Orders, scaled
from web3.exceptions import Web3RPCError

log = logging.getLogger(__name__)
orders = Orders.read()
w3 = orders.connect()
account = orders.account
counter = orders.contract_at(w3)


def process(intent: int) -> None:
    """Send one intent and wait for its receipt; what the node has already is waited for too."""
    nonce = w3.eth.get_transaction_count(account.address)
    tx = counter.functions.bump(intent).build_transaction({"from": account.address, "nonce": nonce})
    signed = account.sign_transaction(tx)
    try:
        w3.eth.send_raw_transaction(signed.raw_transaction)
    except Web3RPCError as error:
        if "already known" not in str(error):
            raise
    receipt = w3.eth.wait_for_transaction_receipt(signed.hash, timeout=scaled(120), poll_latency=scaled(2))
    if receipt["status"] != 1:
        raise RuntimeError(f"{signed.hash.hex()} reverted")


while due := list(orders.open_ids()):
    for intent in due:
        try:
            process(intent)
        except Exception:
            log.exception("intent %s failed; it is tried again in the next cycle", intent)
        else:
            orders.finish(intent)
    time.sleep(scaled(60))
