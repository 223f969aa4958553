"""safe-eth-py's ``EthereumClient.send_unsigned_transaction(..., retry=True)``, sent again when no receipt comes."""

from __future__ import annotations

from common import Orders, scaled
from safe_eth.eth import EthereumClient

orders = Orders.read()
client = EthereumClient(orders.url, provider_timeout=orders.http, slow_provider_timeout=orders.http)
account = orders.account
counter = orders.contract_at(client.w3)

#: Times that a transaction without receipt is sent anew.
ROUNDS = 3


def bump(intent: int) -> None:
    """Send one intent; safe-eth-py chooses the nonce, and another when it is refused."""
    last: Exception | None = None
    for _ in range(ROUNDS):
        try:
            tx = counter.functions.bump(intent).build_transaction({"from": account.address})
            tx.pop("nonce", None)
            tx_hash = client.send_unsigned_transaction(tx, private_key=account.key.hex(), retry=True)
            receipt = client.get_transaction_receipt(tx_hash, timeout=scaled(120))
        except Exception as problem:
            last = problem
        else:
            if receipt is not None:
                return
            last = TimeoutError(f"no receipt of {tx_hash.hex()}")
    assert last is not None
    raise last


for intent in list(orders.open_ids()):
    try:
        bump(intent)
    except Exception as problem:
        orders.finish(intent, problem)
    else:
        orders.finish(intent)
