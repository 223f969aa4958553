"""Transfers to an account by its logs: the newest first, in windows as wide as the endpoint allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from keeper.domain.money import Address
from keeper.errors import BadReply, KeeperError, RpcRejected, Transient

__all__ = ["TRANSFER", "Scan", "Transfer", "received"]

#: keccak256("Transfer(address,address,uint256)"): ERC-20 and ERC-721 alike.
TRANSFER: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

#: A window that is refused is cut to a quarter; one of so few blocks that is still refused ends the search.
_CUT: Final = 4
_NARROWEST: Final = 500

#: Contracts that one request names.
_MOST_CONTRACTS: Final = 100


@dataclass(frozen=True, slots=True)
class Transfer:
    """One log."""

    contract: Address
    #: Token id of an NFT; ``None`` of an ERC-20.
    token_id: int | None


@dataclass(slots=True)
class Scan:
    """What a search has seen, and how far it went."""

    transfers: list[Transfer] = field(default_factory=list)
    #: Oldest block that was looked at.
    reached: int = 0
    #: Why it ended before its first block; empty when it did not.
    stopped: str = ""
    requests: int = 0


def received(
    ask: Callable[[Mapping[str, Any]], Any],
    owner: Address,
    *,
    first: int,
    last: int,
    contracts: Sequence[Address] = (),
    minted: bool = False,
    most_requests: int = 300,
) -> Scan:
    """Search the logs of a range for transfers to ``owner``, newest window first.

    Args:
        ask: makes one ``eth_getLogs`` request with this filter.
        owner: who received.
        first: oldest block.
        last: newest block.
        contracts: whose logs are wanted; any contract's when empty.
        minted: whether only what comes from the zero address counts.
        most_requests: bound of the search.

    Raises:
        KeeperError: when not even the narrowest window is answered.
    """
    scan = Scan(reached=last + 1)
    size = widest = max(1, last - first + 1)
    while scan.reached > first:
        if scan.requests >= most_requests:
            scan.stopped = f"{most_requests} requests were made"
            break
        low = max(first, scan.reached - size)
        scan.requests += 1
        try:
            answer = ask(_filter(owner, low, scan.reached - 1, contracts, minted=minted))
        except (RpcRejected, Transient) as error:
            if size <= _NARROWEST:
                _give_up(scan, last, error)
                break
            widest = size - 1
            size = max(_NARROWEST, size // _CUT)
            continue
        scan.transfers += _parse(answer)
        scan.reached = low
        size = min(widest, size * 2)
    return scan


def _give_up(scan: Scan, last: int, error: KeeperError) -> None:
    if scan.reached > last:
        raise error
    scan.stopped = str(error)


def _filter(owner: Address, low: int, high: int, contracts: Sequence[Address], *, minted: bool) -> Mapping[str, Any]:
    topics = [TRANSFER, _word("0x" + "0" * 40) if minted else None, _word(owner)]
    named = {"address": list(contracts[:_MOST_CONTRACTS])} if contracts else {}
    return {"fromBlock": hex(low), "toBlock": hex(high), "topics": topics, **named}


def _word(address: str) -> str:
    return "0x" + address[2:].rjust(64, "0")


def _parse(answer: Any) -> list[Transfer]:
    try:
        return [_transfer(log) for log in reversed(answer)]
    except (TypeError, KeyError, ValueError, IndexError, AttributeError) as error:
        raise BadReply(f"an endpoint answers eth_getLogs in no known form ({error}); use another endpoint") from None


def _transfer(log: Mapping[str, Any]) -> Transfer:
    topics = log["topics"]
    return Transfer(Address(log["address"].lower()), int(topics[3], 16) if len(topics) == 4 else None)
