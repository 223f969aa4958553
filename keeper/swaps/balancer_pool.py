"""Balancer's weighted pools as makers of their pool tokens: one token joins, for at least what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from keeper.abi import Fn, checksum, encode
from keeper.domain.money import Address, Token
from keeper.domain.plan import Leg, LegKind, MinOut, Patch, Share
from keeper.domain.position import Basket, RouteSpec
from keeper.domain.reads import Read, ReadResult
from keeper.domain.spec import PriceSpec
from keeper.erc20 import AMOUNT_CAP, approve_legs, approve_permission, ask_tokens, optional
from keeper.errors import ConfigError, ReadFailed
from keeper.ports import ArgRule, Permission, Questions

__all__ = ["BalancerPool"]

POOL_ID: Final = Fn("getPoolId()", "uint256")
VAULT: Final = Fn("getVault()", "address")
#: Only weighted pools have them; wad.
WEIGHTS: Final = Fn("getNormalizedWeights()", "uint256[]")
#: Wad.
SWAP_FEE: Final = Fn("getSwapFeePercentage()", "uint256")
POOL_TOKENS: Final = Fn("getPoolTokens(bytes32)", "address[],uint256[],uint256")
#: pool, sender, recipient, (assets, maxAmountsIn, userData, fromInternalBalance).
#: https://docs-v2.balancer.fi/reference/joins-and-exits/pool-joins.html
JOIN: Final = Fn("joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))")

#: Of the userData: all amounts that go in are given, and the least that comes out.
_EXACT_TOKENS_IN: Final = 1
_MOST_TOKENS: Final = 8
_WHOLE: Final = 1_000_000
_WAD_PER_BPS: Final = 10**14
#: Largest fee, basis points, what Balancer's pools allow: it comes off the least pool tokens that a join must bring.
_MOST_FEE_BPS: Final = 1_000
_WAD: Final = 10**18


class BalancerPool:
    """Pool maker for weighted pools of Balancer's second Vault; the others (stable, boosted) are not recognised."""

    name = "balancer"

    def recognise(self, token: Token, routes: Sequence[RouteSpec]) -> Questions[Basket | None]:
        """Ask for pool id, vault and weights. The token that goes in is the first that a route passes through."""
        at = token.address
        asks = [POOL_ID.read(at), VAULT.read(at), SWAP_FEE.read(at), WEIGHTS.read(at, result_bytes=320, gas=30_000)]
        answers = yield asks
        pool_id, vault, fee = (optional(fn, a) for fn, a in zip((POOL_ID, VAULT, SWAP_FEE), answers[:3], strict=True))
        try:
            weights = WEIGHTS.value(answers[3])
        except ReadFailed:
            return None
        if not pool_id or not vault or not 2 <= len(weights) <= _MOST_TOKENS:
            return None
        entry = Address(f"0x{vault:040x}")
        (listed,) = yield [POOL_TOKENS.read(entry, pool_id.to_bytes(32, "big"), result_bytes=672, gas=60_000)]
        tokens, _, _ = POOL_TOKENS.values(listed)
        passed = [via for route in routes for via in route.via if via in tokens]
        index = tokens.index((*passed, *tokens)[0])
        (part,) = yield from ask_tokens(token.chain, [tokens[index]])
        swapped = (fee or 0) * (_WAD - weights[index]) // _WAD
        if not 0 <= swapped <= _MOST_FEE_BPS * _WAD_PER_BPS:
            raise ConfigError(f"pool {checksum(at)} keeps more than {_MOST_FEE_BPS} basis points of a join; see to it")
        return Basket(
            kind=self.name,
            token=token,
            parts=(part,),
            entry=entry,
            price=PriceSpec("balancer-lp", {}),
            fee_bps=-(-swapped // _WAD_PER_BPS),
            contracts=MappingProxyType({f"token_{i}": Address(one) for i, one in enumerate(tokens)}),
            numbers=MappingProxyType({"pool_id": pool_id, "index": index}),
        )

    def reads(self, basket: Basket) -> Sequence[Read]:  # noqa: ARG002
        """Nothing: one token goes in."""
        return ()

    def mix(self, basket: Basket, results: Sequence[ReadResult]) -> tuple[int, ...]:  # noqa: ARG002
        """All of it."""
        return (_WHOLE,)

    def join(
        self, basket: Basket, owner: Address, rates: Sequence[tuple[int, int]], slippage_bps: int
    ) -> Sequence[Leg]:
        """Approve the vault exactly, then join with one token, for the owner, with a floor from agreed prices."""
        share = Share(basket.parts[0])
        most, least, amount = _words(basket)
        join = Leg(
            kind=LegKind.ADD_LIQUIDITY,
            label=f"join {basket.token.symbol} with {basket.parts[0].symbol}",
            to=basket.entry,
            template=_template(basket, owner),
            patches=(
                Patch(most, share),
                Patch(least, MinOut(share, *rates[0], slippage_bps)),
                Patch(amount, share),
            ),
            spends=basket.parts,
            brings=(basket.token,),
        )
        return (*approve_legs(basket.entry, share), join)

    def permissions(self, basket: Basket, owner: Address) -> Sequence[Permission]:
        """Approve the vault for the token, and join this pool with it, from the owner to the owner."""
        most, least, amount = _words(basket)
        data = _template(basket, owner)[4:]
        words = [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]
        args = [ArgRule(at, allowed=(word,)) for at, word in enumerate(words) if at not in (most, least, amount)]
        args += [ArgRule(at, at_most=AMOUNT_CAP) for at in (most, amount)]
        args.append(ArgRule(least, at_least=1))
        label = f"join {basket.token.symbol}"
        return (
            Permission(basket.entry, JOIN.selector, len(words), tuple(args), label),
            approve_permission(basket.parts[0], basket.entry),
        )


def _template(basket: Basket, owner: Address) -> bytes:
    tokens = [basket.contracts[f"token_{i}"] for i in range(len(basket.contracts))]
    nothing = [0] * len(tokens)
    user_data = encode(("uint256", "uint256[]", "uint256"), (_EXACT_TOKENS_IN, nothing, 0))
    pool_id = basket.numbers["pool_id"].to_bytes(32, "big")
    return JOIN.encode(pool_id, owner, owner, (tokens, nothing, user_data, False))


def _words(basket: Basket) -> tuple[int, int, int]:
    """Return where the most that may be taken, the least that must come, and the amount stand in the calldata.

    Before them: four words of arguments, four of the request, then tokens and maxima with their counts.
    """
    count, index = len(basket.contracts), basket.numbers["index"]
    user_data = 11 + 2 * count
    return 10 + count + index, user_data + 2, user_data + 4 + index
