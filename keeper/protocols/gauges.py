"""How an account's gauges are found: Solidly's voters list their pools, and each pool's gauge is asked for a stake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.abi import Fn, checksum
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount
from keeper.domain.reads import Read, ReadResult
from keeper.erc20 import BALANCE_OF, ZERO_ADDRESS, ask_tokens
from keeper.errors import ReadFailed
from keeper.ports import Found, Questions

__all__ = ["GAUGES_LOOKED_AT", "ask_gauges", "ask_staked_gauges"]

LENGTH: Final = Fn("length()", "uint256")
POOLS: Final = Fn("pools(uint256)", "address")
GAUGES: Final = Fn("gauges(address)", "address")

#: Pools of a voter that are looked at, newest first.
GAUGES_LOOKED_AT: Final = 2_000

#: Views asked for at once.
_BATCH: Final = 500


def ask_gauges(place: Place) -> Questions[list[Address] | None]:
    """Ask a voter for its newest pools' gauges; ``None`` when the place is no voter.

    Raises:
        ReadFailed: it says how many pools it has, and then does not name them.
    """
    (count,) = yield [LENGTH.read(place.target)]
    try:
        total = int(LENGTH.value(count))
    except ReadFailed:
        return None
    indices = range(total - 1, max(total - GAUGES_LOOKED_AT, 0) - 1, -1)
    named = yield from _in_batches([POOLS.read(place.target, index) for index in indices])
    pools = [POOLS.value(each) for each in named]
    found = yield from _in_batches([GAUGES.read(place.target, pool) for pool in pools])
    gauges = [Address(GAUGES.value(each)) for each in found if each.success]
    return [gauge for gauge in gauges if gauge != ZERO_ADDRESS]


def ask_staked_gauges(chain: str, place: Place, owner: Address, staking: Fn) -> Questions[Sequence[Found]]:
    """Find the account's stakes in a voter's gauges, or in the one gauge that the place names.

    ``staking``: the gauges' view of what is staked; those of another kind (of NFTs) do not answer it, and are left out.
    """
    listed = yield from ask_gauges(place)
    gauges = [place.target] if listed is None else listed
    answers = yield from _in_batches([BALANCE_OF.read(gauge, owner) for gauge in gauges])
    staked = {gauge: _amount(answer) for gauge, answer in zip(gauges, answers, strict=True)}
    if listed is None and staked[place.target] is None:
        raise ReadFailed(f"{checksum(place.target)} is neither a voter nor a gauge; check it")
    mine: Mapping[Address, int] = {gauge: raw for gauge, raw in staked.items() if raw}
    named = yield from _in_batches([staking.read(gauge) for gauge in mine])
    held = {
        gauge: (raw, Address(staking.value(answer)))
        for (gauge, raw), answer in zip(mine.items(), named, strict=True)
        if answer.success
    }
    tokens = yield from ask_tokens(chain, [stake for _, stake in held.values()])
    return tuple(
        Found(place, gauge, dict(place.params), Amount(token, raw), f"gauge of {token.symbol}")
        for (gauge, (raw, _)), token in zip(held.items(), tokens, strict=True)
    )


def _amount(result: ReadResult) -> int | None:
    try:
        return int(BALANCE_OF.value(result))
    except ReadFailed:
        return None


def _in_batches(reads: Sequence[Read]) -> Questions[list[ReadResult]]:
    results: list[ReadResult] = []
    for start in range(0, len(reads), _BATCH):
        results += yield reads[start : start + _BATCH]
    return results
