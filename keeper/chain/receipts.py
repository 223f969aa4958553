"""Read a transaction receipt: what it cost, and every ERC-20 transfer that it made."""

from __future__ import annotations

from typing import Any, Final

from keeper.abi import EventSig
from keeper.chain.quantity import uint
from keeper.domain.money import Address
from keeper.domain.transaction import Receipt, TransferLog
from keeper.errors import BadReply

__all__ = ["parse_receipt"]

_TRANSFER: Final = EventSig("Transfer(address,address,uint256)").topic


def parse_receipt(answer: Any, tx_hash: str) -> Receipt | None:
    """Turn JSON into a receipt; ``None`` when the node has none, or one without a block.

    Raises:
        BadReply: when it is another transaction's, or fields are missing.
    """
    if answer is None:
        return None
    if not isinstance(answer, dict) or str(answer.get("transactionHash", "")).lower() != tx_hash.lower():
        raise BadReply(f"a node answered another receipt than that of {tx_hash}. Use another endpoint.")
    block_hash = answer.get("blockHash")
    if block_hash is None or answer.get("blockNumber") is None:
        return None
    logs = answer.get("logs")
    if not isinstance(block_hash, str) or not isinstance(logs, list):
        raise BadReply(f"a node answered an incomplete receipt of {tx_hash}. Use another endpoint.")
    price = answer.get("effectiveGasPrice", answer.get("gasPrice"))
    return Receipt(
        tx_hash=tx_hash,
        block_number=uint(answer["blockNumber"], "a block number"),
        block_hash=block_hash.lower(),
        status=uint(answer.get("status"), "a receipt's status"),
        gas_used=uint(answer.get("gasUsed"), "gas used"),
        effective_gas_price_wei=uint(price, "the gas price paid"),
        l1_fee_wei=uint(answer.get("l1Fee") or "0x0", "the L1 fee"),
        transfers=tuple(transfer for log in logs if (transfer := _transfer(log)) is not None),
    )


def _transfer(log: Any) -> TransferLog | None:
    """Read an ERC-20 Transfer; ``None`` for other events, among them ERC-721's (amount in a topic) and odd ones."""
    topics = log.get("topics") if isinstance(log, dict) else None
    if not isinstance(topics, list) or len(topics) != 3 or topics[0] != _TRANSFER or log.get("removed"):
        return None
    data = log.get("data")
    if not isinstance(data, str) or len(data) != 66:
        return None
    return TransferLog(
        token=Address(str(log.get("address")).lower()),
        sender=_account(topics[1]),
        recipient=_account(topics[2]),
        raw=uint(data, "a transferred amount"),
        log_index=uint(log.get("logIndex"), "a log's index"),
    )


def _account(topic: Any) -> Address:
    if not isinstance(topic, str) or len(topic) != 66:
        raise BadReply("a node answered a Transfer with broken topics. Use another endpoint.")
    return Address("0x" + topic[26:].lower())
