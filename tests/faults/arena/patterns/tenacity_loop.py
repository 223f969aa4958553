"""A tenacity retry around build, sign, send and wait: five attempts, exponential pauses."""

from __future__ import annotations

from typing import Any

from common import Orders, scaled
from tenacity import retry, stop_after_attempt, wait_exponential

orders = Orders.read()
w3 = orders.connect()
account = orders.account
counter = orders.contract_at(w3)


@retry(stop=stop_after_attempt(5), wait=wait_exponential(multiplier=scaled(2), max=scaled(60)), reraise=True)
def bump(intent: int) -> Any:
    """Send one intent and wait for its receipt."""
    nonce = w3.eth.get_transaction_count(account.address, "pending")
    tx = counter.functions.bump(intent).build_transaction({"from": account.address, "nonce": nonce})
    signed = account.sign_transaction(tx)
    tx_hash = w3.eth.send_raw_transaction(signed.raw_transaction)
    receipt = w3.eth.wait_for_transaction_receipt(tx_hash, timeout=scaled(120), poll_latency=scaled(2))
    if receipt["status"] != 1:
        raise RuntimeError(f"{tx_hash.hex()} reverted")
    return receipt


for intent in list(orders.open_ids()):
    try:
        bump(intent)
    except Exception as problem:
        orders.finish(intent, problem)
    else:
        orders.finish(intent)
