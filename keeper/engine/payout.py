"""What leaves a harvest before it is compounded: a share for the account that the owner named, and gas money.

The shares are of what the claim has really brought; whatever comes after takes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.abi import checksum
from keeper.domain.money import BPS, Address, Amount, Token
from keeper.domain.plan import Leg, LegKind, Patch, Share
from keeper.domain.valuation import Valuation
from keeper.engine.book import Holding, Sale
from keeper.engine.context import Plugins
from keeper.engine.value import oracle_rate
from keeper.erc20 import AMOUNT_CAP, TRANSFER, UNWRAP, fixed_word
from keeper.ports import ArgRule, Permission
from keeper.strategy.split import SELL_GAS, UNWRAP_GAS, GasMoney, Parts, parts

__all__ = ["DUST", "Parting", "part", "part_permissions", "part_shapes"]

#: What is worth less than a cent is left where it is: a pool would pay nothing for it, and nothing else either.
DUST: Final = 10**16


@dataclass(frozen=True, slots=True)
class Parting:
    """How a harvest is divided, the legs that do it, and what is left to compound."""

    parts: Parts
    legs: tuple[Leg, ...]
    rest: tuple[Amount, ...]


def part(
    plugins: Plugins,
    holding: Holding,
    pending: Sequence[Amount],
    valuation: Valuation,
    money: GasMoney | None = None,
) -> Parting:
    """Divide what a claim brings. Pure.

    Args:
        plugins: adapters.
        holding: the position, with its options and the routes to gas money.
        pending: what the claim brings.
        valuation: agreed prices.
        money: what the owner has for gas, and its price; ``None`` plans no top-up.
    """
    options = holding.position.options
    legs = [
        _pay(options.payout_to, Share(a.token, options.payout_bps)) for a in pending if _pays(holding, a, valuation)
    ]
    paid = {leg.to for leg in legs}
    rest = [_less(a, options.payout_bps) if a.token.address in paid else a for a in pending]
    source = _source(holding, rest, valuation) if holding.wrapped is not None else None
    unwraps = source is not None and holding.wrapped is not None and source.token.address == holding.wrapped.address
    shares = parts(
        sum(valuation.value_mid(a) for a in pending),
        options,
        money if source is not None else None,
        valuation.native.mid,
        UNWRAP_GAS if unwraps else SELL_GAS,
        None if source is None else valuation.value_mid(source),
    )
    if source is not None and holding.wrapped is not None and shares.top_up_bps:
        bps = min(shares.top_up_usd * BPS // valuation.value_mid(source), BPS)
        if bps > 0:
            sold = Share(source.token, bps)
            legs += [_unwrap(sold)] if unwraps else _buy_gas(plugins, holding, sold, holding.wrapped, valuation)
            rest = [_less(a, bps) if a is source else a for a in rest]
    return Parting(shares, tuple(legs), tuple(rest))


def part_permissions(plugins: Plugins, holding: Holding) -> Iterator[Permission]:
    """The calls that dividing a harvest can ever make; none where neither option is set."""
    to = holding.position.options.payout_to
    if to is not None and holding.position.options.payout_bps > 0:
        for token in holding.market.reward_tokens:
            args = (fixed_word(0, to), ArgRule(1, at_least=1, at_most=AMOUNT_CAP))
            label = f"pay out {token.symbol} to {checksum(to)}"
            yield Permission(token.address, TRANSFER.selector, 2, args, label)
    if holding.wrapped is not None:
        for sale in holding.top_ups:
            yield from plugins.swaps[sale.route.spec.kind].permissions(sale.route, holding.position.owner)
        amount = (ArgRule(0, at_least=1, at_most=AMOUNT_CAP),)
        yield Permission(holding.wrapped.address, UNWRAP.selector, 1, amount, f"unwrap {holding.wrapped.symbol}")


def part_shapes(plugins: Plugins, holding: Holding) -> list[Leg]:
    """Every shape of leg that dividing a harvest can have: by these its transactions are known again."""
    options, market = holding.position.options, holding.market
    legs: list[Leg] = []
    if options.payout_to is not None and options.payout_bps > 0:
        legs += [_pay(options.payout_to, Share(token, options.payout_bps)) for token in market.reward_tokens]
    if holding.wrapped is not None:
        legs.append(_unwrap(Share(holding.wrapped)))
        for sale in holding.top_ups:
            legs += _sell(plugins, holding, sale, Share(sale.reward), (1, 1))
    return legs


def _pays(holding: Holding, amount: Amount, valuation: Valuation) -> bool:
    options = holding.position.options
    if options.payout_to is None or options.payout_bps <= 0:
        return False
    return valuation.value_mid(amount) * options.payout_bps // BPS >= DUST


def _pay(to: Address | None, share: Share) -> Leg:
    assert to is not None, "there is no share without somebody whose it is"
    token, account = share.token, checksum(to)
    return Leg(
        kind=LegKind.PAYOUT,
        label=f"pay out {_percent(share.bps)} {token.symbol} to {account[:6]}..{account[-4:]}",
        to=token.address,
        template=TRANSFER.encode(to, 0),
        patches=(Patch(1, share),),
        spends=(token,),
    )


def _unwrap(share: Share) -> Leg:
    """Turn the wrapped gas token into gas money. What comes is no token, so only what goes can be watched."""
    return Leg(
        kind=LegKind.UNWRAP,
        label=f"unwrap {share.token.symbol} for gas",
        to=share.token.address,
        template=UNWRAP.encode(0),
        patches=(Patch(0, share),),
        spends=(share.token,),
    )


def _buy_gas(plugins: Plugins, holding: Holding, sold: Share, wrapped: Token, valuation: Valuation) -> list[Leg]:
    sale = next(sale for sale in holding.top_ups if sale.reward.address == sold.token.address)
    legs = _sell(plugins, holding, sale, sold, oracle_rate(valuation, sale.reward, wrapped))
    return [*legs, _unwrap(Share(wrapped))]


def _sell(plugins: Plugins, holding: Holding, sale: Sale, sold: Share, floor: tuple[int, int]) -> list[Leg]:
    position, swap = holding.position, plugins.swaps[sale.route.spec.kind]
    slippage = position.options.max_slippage_bps + min(sale.route.fee_bps, 300)
    return [*swap.swap(sale.route, position.owner, sold, floor, slippage)]


def _source(holding: Holding, rest: Sequence[Amount], valuation: Valuation) -> Amount | None:
    """Choose what becomes gas: the wrapped gas token where it is a reward, else the reward that is worth most."""
    assert holding.wrapped is not None
    paying = [amount for amount in rest if valuation.value_mid(amount) >= DUST]
    for amount in paying:
        if amount.token.address == holding.wrapped.address:
            return amount
    sellable = {sale.reward.address for sale in holding.top_ups}
    worth = [amount for amount in paying if amount.token.address in sellable]
    return max(worth, key=valuation.value_mid, default=None)


def _less(amount: Amount, bps: int) -> Amount:
    return Amount(amount.token, amount.raw - amount.raw * bps // BPS)


def _percent(bps: int) -> str:
    whole, rest = divmod(bps, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + " %" if rest else f"{whole} %"
