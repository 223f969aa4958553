"""What an aggregator would get for the sales of a due harvest, beside the best configured ways: much more stops it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from keeper.abi import checksum
from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.money import BPS, Amount
from keeper.domain.sale_quote import SaleQuote
from keeper.engine.book import Holding, Sale
from keeper.engine.case import Case
from keeper.engine.context import ChainContext
from keeper.engine.value import oracle_rate
from keeper.errors import ReadFailed, RpcRejected

__all__ = ["Opinion", "second_opinion"]

#: A quote this much above the agreed prices (at the ends that favour it) is not believed.
_ABSURD_BPS: Final = 500


@dataclass(frozen=True, slots=True)
class Opinion:
    """What was said; nothing where nobody was asked, nobody answered, or nobody was believed."""

    #: Sales that would bring much more elsewhere: what a harvest is held back for.
    worse: tuple[Reason, ...] = ()
    #: The others, to be shown.
    notes: tuple[Reason, ...] = ()

    def on(self, decision: Decision) -> Decision:
        """Return the decision with this in it."""
        noted = replace(decision, guards=(*decision.guards, *self.notes))
        if not self.worse:
            return noted
        return replace(noted, verdict=Verdict.BLOCKED, reasons=(*self.worse, *decision.reasons))


def second_opinion(
    context: ChainContext, holding: Holding, sold: Mapping[Sale, int], case: Case, *, wait: bool
) -> Opinion:
    """Compare each sale's way with what the configured aggregator would get for the same amount.

    Args:
        context: the chain.
        holding: the position, the best way of each sale first.
        sold: base units that each sale would sell.
        case: prices, and the price of gas.
        wait: whether the aggregator is asked; otherwise only what it has said lately counts.

    Raises:
        Transient: when the chain cannot be read.
    """
    source, owner = context.quotes, holding.position.owner
    if source is None:
        return Opinion()
    said: list[tuple[Sale, SaleQuote]] = []
    notes: list[Reason] = []
    for asked, raw in sold.items():
        if raw <= 0:
            continue
        quote = source.quote(owner, Amount(asked.reward, raw), asked.buy, wait=wait)
        if quote is None:
            continue
        doubt = _doubt(quote, case)
        if doubt:
            notes.append(Reason(ReasonCode.ROUTE_COMPARED, doubt))
        else:
            said.append((holding.sale(asked.reward, asked.buy), quote))
    worse: list[Reason] = []
    for (sale, quote), ours in zip(said, _ours(context, said, case), strict=True):
        if ours is None:
            continue  # the simulation says why it cannot be sold this way
        more = _more_bps(sale, quote, ours, case)
        kept = worse if more > context.quotes_worse_bps else notes
        kept.append(_reason(context, holding, sale, quote, ours, more))
    return Opinion(tuple(worse), tuple(notes))


def _doubt(quote: SaleQuote, case: Case) -> str:
    """Say why a quote is not believed: it is no better than nothing, or better than anything; empty when it is."""
    numerator, denominator = oracle_rate(case.valuation, quote.sold.token, quote.bought.token)
    fair = quote.sold.raw * numerator // denominator
    if quote.bought.raw < fair * (BPS - case.position.options.max_slippage_bps) // BPS:
        return f"{_offer(quote)}, which is below the least that keeper accepts, so it counts for nothing"
    sell, buy = case.valuation.price(quote.sold.token), case.valuation.price(quote.bought.token)
    most = quote.sold.raw * sell.high * buy.token.unit // (sell.token.unit * max(buy.low, 1))
    if quote.bought.raw > most * (BPS + _ABSURD_BPS) // BPS:
        return f"{_offer(quote)}, which is far above the agreed prices, so it is not believed"
    return ""


def _ours(context: ChainContext, said: Sequence[tuple[Sale, SaleQuote]], case: Case) -> list[int | None]:
    """Quote the ways that would be taken, all in one batch, at the block that is decided by."""
    if not said:
        return []
    swaps = context.plugins.swaps
    asked = [swaps[sale.route.spec.kind].quote_reads(sale.route, quote.sold.raw) for sale, quote in said]
    try:
        answers = context.chain.read([read for reads in asked for read in reads], case.observation.block)
    except RpcRejected:
        return [None for _ in said]
    found: list[int | None] = []
    at = 0
    for (sale, quote), reads in zip(said, asked, strict=True):
        results, at = answers[at : at + len(reads)], at + len(reads)
        try:
            found.append(swaps[sale.route.spec.kind].quote(sale.route, results, quote.sold.raw))
        except ReadFailed:
            found.append(None)
    return found


def _more_bps(sale: Sale, quote: SaleQuote, ours: int, case: Case) -> int:
    """How much more the quote would bring, basis points of ours; gas that its way takes beyond ours is taken off."""
    worth = case.valuation
    mine = worth.value_low(Amount(sale.buy, ours))
    extra = worth.gas_cost(max(quote.gas - sale.route.gas, 0) * case.fees.price_wei)
    theirs = worth.value_low(quote.bought) - extra
    return (theirs - mine) * BPS // max(mine, 1)


def _reason(context: ChainContext, holding: Holding, sale: Sale, quote: SaleQuote, ours: int, more_bps: int) -> Reason:
    mine = f"the best configured way ({sale.route.spec.kind} {_path(sale)}) {_digits(Amount(sale.buy, ours))}"
    share = f"{Decimal(abs(more_bps)) / 100:f} %"
    if more_bps <= context.quotes_worse_bps:
        how = f"{share} more than" if more_bps > 0 else f"{share} less than"
        return Reason(ReasonCode.ROUTE_COMPARED, f"{_offer(quote)}, {how} {mine}")
    allowed = f"{Decimal(context.quotes_worse_bps) / 100:f} %"
    text = f"{_offer(quote)}, {mine}: {share} more, above quotes.max_worse of {allowed}"
    return Reason(ReasonCode.ROUTE_WORSE, f"{text}; {_remedy(holding, sale, quote)}")


def _remedy(holding: Holding, sale: Sale, quote: SaleQuote) -> str:
    """Say what to add: tokens that it passes through and no configured way does, else another exchange."""
    ours = {token.address for way in sale.ways for token in way.path}
    known = {token.address: token.symbol for token in holding.tokens}
    missing = [
        f"{known[token]} ({checksum(token)})" if token in known else checksum(token)
        for token in quote.via
        if token not in ours
    ]
    if missing:
        return f"its route passes through {' and '.join(missing)}: add that to `via` of the position's route"
    return "add one more exchange to the position's route ([[positions.route]])"


def _offer(quote: SaleQuote) -> str:
    return f"{quote.source} would get {_digits(quote.bought)} for {_digits(quote.sold)}"


def _path(sale: Sale) -> str:
    return "-".join(token.symbol for token in sale.route.path)


def _digits(amount: Amount) -> str:
    """Word an amount with six digits that count, so that two of them can be told apart."""
    value = amount.decimal
    text = f"{value:,.{max(5 - value.adjusted(), 0)}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {amount.token.symbol}"
