"""When several sources price a token: one price if they agree, else a problem that says who said what."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.money import BPS, Token, UsdWad, usd_decimal, usd_text
from keeper.domain.valuation import PriceProblem, Quote, TokenPrice

__all__ = ["agree", "bounded"]


def agree(
    token: Token,
    quotes: Sequence[Quote],
    problems: Sequence[PriceProblem],
    *,
    min_sources: int,
    max_deviation_bps: int,
    derived: bool = False,
) -> TokenPrice | PriceProblem:
    """Join the quotes of one token into a range that all of them lie in, or say why that cannot be done.

    Args:
        token: what is priced.
        quotes: usable answers.
        problems: why the other sources have none.
        min_sources: usable answers that there must be at least.
        max_deviation_bps: how far the highest quote may lie above the lowest, in basis points of the lowest.
        derived: the price follows from others that are agreed already (an LP token's from its sides'), so that one
            answer is enough.
    """
    needed = 1 if derived else max(1, min_sources)
    if len(quotes) < needed:
        return _too_few(token, len(quotes), needed, problems)
    low = min(quote.usd for quote in quotes)
    high = max(quote.usd for quote in quotes)
    if low <= 0:
        return PriceProblem(token, "missing", f"a source prices {token.symbol} at nothing; check its sources")
    if (high - low) * BPS > max_deviation_bps * low:
        said = ", ".join(f"{quote.source} ${usd_decimal(quote.usd):.6g}" for quote in quotes)
        return PriceProblem(
            token,
            "disagree",
            f"the sources of {token.symbol} differ by {(high - low) * BPS // low} basis points ({said}), more than "
            f"{max_deviation_bps}; keeper waits until they agree",
        )
    return TokenPrice(token, UsdWad(low), UsdWad(high), tuple(quotes))


def bounded(price: TokenPrice, outside: Quote | None, *, max_deviation_bps: int) -> TokenPrice | PriceProblem:
    """Refuse an agreed price that is far from what somebody outside says, if anybody says something.

    Args:
        price: what the sources agree on.
        outside: a price that counts as no source; ``None`` where none is known, which changes nothing.
        max_deviation_bps: how far either end of the agreed range may be from it, in basis points of it.
    """
    if outside is None or outside.usd <= 0:
        return price
    off = max(abs(price.low - outside.usd), abs(price.high - outside.usd)) * BPS // outside.usd
    if off <= max_deviation_bps:
        return price
    return PriceProblem(
        price.token,
        "disagree",
        f"{price.token.symbol} is {usd_text(price.mid)} by the configured sources but {usd_text(outside.usd)} by "
        f"{outside.source}: "
        f"{off} basis points apart, more than {max_deviation_bps} (prices.sanity.max_deviation); keeper waits until "
        "they agree",
    )


def _too_few(token: Token, have: int, needed: int, problems: Sequence[PriceProblem]) -> PriceProblem:
    """Name the sources' own reasons; staleness wins over absence, because it passes."""
    kind = "stale" if any(problem.kind == "stale" for problem in problems) else "missing"
    reasons = "; ".join(problem.text for problem in problems) or "add a source in the config"
    return PriceProblem(token, kind, f"{token.symbol} has {have} of {needed} prices needed: {reasons}")
