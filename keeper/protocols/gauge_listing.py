"""Find what an account has staked in the gauges that a controller or a factory lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keeper.abi import Fn
from keeper.domain.facts import Place
from keeper.domain.money import Address, Amount
from keeper.erc20 import BALANCE_OF, ask_tokens, optional
from keeper.ports import Found, Questions

__all__ = ["LP_TOKEN", "find_stakes"]

LP_TOKEN: Final = Fn("lp_token()", "address")
#: Of a controller (Ethereum), and of a factory of child gauges.
N_GAUGES: Final = Fn("n_gauges()", "int128")
GAUGES: Final = Fn("gauges(uint256)", "address")
GET_GAUGE_COUNT: Final = Fn("get_gauge_count()", "uint256")
GET_GAUGE: Final = Fn("get_gauge(uint256)", "address")

#: Gauges asked in one batch, and at all.
_BATCH: Final = 300
_MOST_GAUGES: Final = 6_000


def find_stakes(chain: str, place: Place, owner: Address) -> Questions[Sequence[Found]]:
    """Ask all gauges of a place, or the place itself when it is one, what ``owner`` has there."""
    gauges = yield from _all_gauges(place.target)
    staked: list[tuple[Address, int]] = []
    for start in range(0, len(gauges), _BATCH):
        some = gauges[start : start + _BATCH]
        answers = yield [BALANCE_OF.read(gauge, owner) for gauge in some]
        held = [optional(BALANCE_OF, answer) or 0 for answer in answers]
        staked += [(gauge, raw) for gauge, raw in zip(some, held, strict=True) if raw]
    if not staked:
        return ()
    named = yield [LP_TOKEN.read(gauge) for gauge, _ in staked]
    known = [(*one, LP_TOKEN.value(name)) for one, name in zip(staked, named, strict=True) if optional(LP_TOKEN, name)]
    tokens = yield from ask_tokens(chain, [lp_token for _, _, lp_token in known])
    return tuple(
        Found(place, gauge, place.params, Amount(token, raw), f"gauge of {token.symbol}")
        for (gauge, raw, _), token in zip(known, tokens, strict=True)
    )


def _all_gauges(target: Address) -> Questions[list[Address]]:
    """List the gauges of a controller or factory, newest first; a gauge itself is a list of one."""
    counts = yield [N_GAUGES.read(target), GET_GAUGE_COUNT.read(target), LP_TOKEN.read(target)]
    if optional(LP_TOKEN, counts[2]):
        return [target]
    listing = ((N_GAUGES, counts[0], GAUGES), (GET_GAUGE_COUNT, counts[1], GET_GAUGE))
    count, getter = next(((n, fn) for ask, a, fn in listing if (n := optional(ask, a))), (0, GAUGES))
    indices = list(range(count))[::-1][:_MOST_GAUGES]
    found: list[Address] = []
    for start in range(0, len(indices), _BATCH):
        answers = yield [getter.read(target, index) for index in indices[start : start + _BATCH]]
        found += [Address(f"0x{gauge:040x}") for a in answers if (gauge := optional(getter, a))]
    return found
