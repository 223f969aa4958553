"""Read a transaction receipt: what it cost, and every ERC-20 transfer that it made.

WETH9, and most wrappers of gas tokens with it, emit no Transfer when they are unwrapped, only ``Withdrawal``: that is
read as a transfer to nobody, and only of the chain's own wrapper, because anybody may emit an event of that name.
"""

from __future__ import annotations

from typing import Any, Final

from keeper.abi import EventSig
from keeper.chain.quantity import uint
from keeper.domain.money import Address
from keeper.domain.transaction import NftLog, Receipt, TransferLog
from keeper.errors import BadReply

__all__ = ["parse_receipt"]

_TRANSFER: Final = EventSig("Transfer(address,address,uint256)").topic
#: https://etherscan.io/token/0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2#code
_WITHDRAWAL: Final = EventSig("Withdrawal(address,uint256)").topic
_NOBODY: Final = Address("0x" + "0" * 40)


def parse_receipt(answer: Any, tx_hash: str, wrapped: Address | None = None) -> Receipt | None:
    """Turn JSON into a receipt; ``None`` when the node has none, or one without a block.

    ``wrapped`` is the chain's wrapper of its gas token, whose withdrawals are read too.

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
        transfers=_transfers(logs, wrapped),
        nfts=tuple(moved for log in logs if (moved := _nft(log)) is not None),
        events=tuple(dict.fromkeys(event for log in logs if (event := _event(log)) is not None)),
    )


def _transfers(logs: list[Any], wrapped: Address | None) -> tuple[TransferLog, ...]:
    """Read all transfers in the order of the logs; a withdrawal that is told as a burn as well counts once."""
    found = [transfer for log in logs if (transfer := _transfer(log)) is not None]
    burnt = [(t.sender, t.raw) for t in found if t.token == wrapped and t.recipient == _NOBODY]
    for log in logs if wrapped is not None else ():
        withdrawal = _withdrawal(log, wrapped)
        if withdrawal is None:
            continue
        if (withdrawal.sender, withdrawal.raw) in burnt:
            burnt.remove((withdrawal.sender, withdrawal.raw))
        else:
            found.append(withdrawal)
    return tuple(sorted(found, key=lambda transfer: transfer.log_index))


def _transfer(log: Any) -> TransferLog | None:
    """Read an ERC-20 Transfer; ``None`` for other events, among them ERC-721's (amount in a topic) and odd ones."""
    topics = _topics(log, _TRANSFER, 3)
    return None if topics is None else _moved(log, _account(topics[1]), _account(topics[2]))


def _nft(log: Any) -> NftLog | None:
    """Read an ERC-721 Transfer, whose three arguments are all topics."""
    topics = log.get("topics") if isinstance(log, dict) else None
    if not isinstance(topics, list) or len(topics) != 4 or topics[0] != _TRANSFER or log.get("removed"):
        return None
    contract = Address(str(log.get("address")).lower())
    return NftLog(contract, _account(topics[1]), _account(topics[2]), int(str(topics[3]), 16))


def _event(log: Any) -> tuple[Address, str] | None:
    """Name an event by its contract and first topic; ``None`` for anonymous ones."""
    topics = log.get("topics") if isinstance(log, dict) else None
    if not isinstance(topics, list) or not topics or not isinstance(topics[0], str) or log.get("removed"):
        return None
    return Address(str(log.get("address")).lower()), topics[0].lower()


def _withdrawal(log: Any, wrapped: Address | None) -> TransferLog | None:
    """Read a withdrawal of the chain's own wrapper; ``None`` for everything else."""
    topics = _topics(log, _WITHDRAWAL, 2)
    if topics is None or str(log.get("address")).lower() != wrapped:
        return None
    return _moved(log, _account(topics[1]), _NOBODY)


def _topics(log: Any, event: str, count: int) -> list[Any] | None:
    """Return a log's topics when it is this event with one amount as its data."""
    topics = log.get("topics") if isinstance(log, dict) else None
    if not isinstance(topics, list) or len(topics) != count or topics[0] != event or log.get("removed"):
        return None
    data = log.get("data")
    return topics if isinstance(data, str) and len(data) == 66 else None


def _moved(log: Any, sender: Address, recipient: Address) -> TransferLog:
    return TransferLog(
        token=Address(str(log.get("address")).lower()),
        sender=sender,
        recipient=recipient,
        raw=uint(log.get("data"), "a transferred amount"),
        log_index=uint(log.get("logIndex"), "a log's index"),
    )


def _account(topic: Any) -> Address:
    if not isinstance(topic, str) or len(topic) != 66:
        raise BadReply("a node answered an event with broken topics. Use another endpoint.")
    return Address("0x" + topic[26:].lower())
