"""``keeper report`` for programs: every figure as exact text, rates as shares (0.184 is 18.4 %)."""

from __future__ import annotations

from typing import Any, Final

from keeper.cli.output import usd_text
from keeper.cli.report_data import Report
from keeper.strategy.performance.holding import AgainstHolding
from keeper.strategy.performance.results import SHORT_SECONDS, Against, Performance, Returns

__all__ = ["COLUMNS", "csv_row", "performance_json", "report_json"]

#: Columns of the CSV: keys of a position's JSON, those inside another by a dot.
COLUMNS: Final = (
    "position",
    "window",
    "currency",
    "since",
    "until",
    "staked_start",
    "staked_end",
    "deposits",
    "withdrawals",
    "price_gain",
    "income",
    "received",
    "by_hand",
    "interest",
    "pending_start",
    "pending_end",
    "cost",
    "lost",
    "net",
    "compounded",
    "harvests",
    "failed",
    "in_kind.apr",
    "in_kind.apy",
    "money.apr",
    "money.apy",
    "over_never.gain",
    "over_daily.gain",
    "over_daily.cost",
    "model_error",
    "over_holding.difference",
    "over_holding.impermanent_loss",
    "over_holding.fees",
    "predicted.reward",
    "predicted.realised_reward",
    "predicted.cost",
    "predicted.realised_cost",
)


def report_json(report: Report, *, annualise: bool = False) -> dict[str, Any]:
    """The whole report; without an APY of less than seven days unless that is asked for."""
    whole = report.total
    return {
        "window": {"name": report.window.name, "since": report.window.since, "until": report.window.until},
        "currency": report.currency,
        "without_rate": report.without_rate or None,
        "positions": [performance_json(found, annualise=annualise) for found in report.found],
        "missing": [{"position": name, "text": text} for name, text in report.missing],
        "total": {
            "staked": usd_text(whole.staked),
            "income": usd_text(whole.income),
            "cost": usd_text(whole.cost),
            "net": usd_text(whole.net),
            "profit": usd_text(whole.profit),
            "apr": _share(whole.apr),
            "apr_in_kind": _share(whole.apr_in_kind),
            "apy": _share(whole.apy) if annualise or whole.seconds >= SHORT_SECONDS else None,
            "over_never": _known(whole.over_never),
            "over_daily": _known(whole.over_daily),
            "over_holding": _known(whole.over_holding),
            "model_error": _known(whole.model_error),
            "harvests": whole.harvests,
            "seconds": whole.seconds,
        },
    }


def performance_json(p: Performance, *, annualise: bool = False) -> dict[str, Any]:
    """One position. Money is in ``currency``."""
    says_little = p.short and not annualise
    return {
        "position": p.position_id,
        "currency": p.currency,
        "since": p.since,
        "until": p.until,
        "samples": p.samples,
        "longest_gap_seconds": p.longest_gap,
        "short": p.short,
        "stake_start": p.principal_start,
        "stake_end": p.principal_end,
        "staked_start": usd_text(p.staked_start),
        "staked_end": usd_text(p.staked_end),
        "deposits": usd_text(p.deposits),
        "withdrawals": usd_text(p.withdrawals),
        "price_gain": usd_text(p.price_gain),
        "income": usd_text(p.income),
        "received": usd_text(p.received),
        "by_hand": usd_text(p.by_hand),
        "interest": usd_text(p.interest),
        "pending_start": usd_text(p.pending_start),
        "pending_end": usd_text(p.pending_end),
        "cost": usd_text(p.cost),
        "lost": usd_text(p.lost),
        "net": usd_text(p.net),
        "compounded": usd_text(p.compounded),
        "kept": usd_text(p.kept),
        "harvests": p.harvests,
        "failed": p.failed,
        "in_kind": _returns(p.in_kind, says_little=says_little),
        "money": _returns(p.money, says_little=says_little),
        "over_never": _against(p.never),
        "over_daily": _against(p.daily),
        "model_error": _known(p.model_error),
        "ahead_per_year": usd_text(p.ahead_per_year),
        "over_holding": _holding(p.holding),
        "predicted": {
            "reward": usd_text(p.bias.predicted_reward),
            "realised_reward": usd_text(p.bias.reward),
            "cost": usd_text(p.bias.predicted_cost),
            "realised_cost": usd_text(p.bias.cost),
        },
        "grows_by_itself": p.rebasing,
        "unvalued": p.unvalued,
        "open_since": p.open_since,
    }


def csv_row(report: Report, found: Performance, *, annualise: bool = False) -> list[object]:
    """Cells of one position, in the order of ``COLUMNS``; empty where nothing is known."""
    document = performance_json(found, annualise=annualise) | {"window": report.window.name}
    return [_cell(document, column) for column in COLUMNS]


def _cell(document: dict[str, Any], column: str) -> object:
    key, _, inner = column.partition(".")
    value = document[key]
    if inner:
        value = None if value is None else value[inner]
    return "" if value is None else value


def _returns(found: Returns, *, says_little: bool) -> dict[str, Any]:
    return {"profit": usd_text(found.profit), "growth": _share(found.growth)} | {
        "apr": _share(found.apr),
        "apy": None if says_little else _share(found.apy),
    }


def _against(other: Against | None) -> dict[str, Any] | None:
    if other is None:
        return None
    return {
        "gain": usd_text(other.gain),
        "harvests": other.harvests,
        "cost": usd_text(other.cost),
        "ahead": usd_text(other.ahead),
    }


def _holding(found: AgainstHolding | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "difference": usd_text(found.difference),
        "held": usd_text(found.held),
        "pooled": usd_text(found.pooled),
        "impermanent_loss": usd_text(found.loss),
        "fees": usd_text(found.fees),
    }


def _share(wad: int | None) -> str | None:
    return None if wad is None else usd_text(wad)


def _known(wad: int | None) -> str | None:
    return None if wad is None else usd_text(wad)
