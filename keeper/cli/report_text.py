"""``keeper report`` for people: tables of all positions, details of a few, what to know of them, and one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from keeper.cli.grid import room
from keeper.cli.layout import Row, lay_out
from keeper.cli.money import gained, money, rate
from keeper.cli.output import amount, duration, say, table
from keeper.cli.report_data import USD, Report
from keeper.cli.views import day, tell
from keeper.strategy.performance.results import SHORT_SECONDS, Against, Performance, Total

__all__ = ["FEW", "print_report", "summary"]

#: Positions up to which the details of each are told without being asked for.
FEW = 2

#: A stretch without samples is told from this part of the window, and this many seconds, on.
_GAP_PART, _GAP_SECONDS = 10, 86_400

_NAMES = {"mtd": "this month so far", "all": "everything on record"}

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def print_report(report: Report, *, detailed: bool, annualise: bool = False) -> None:
    """Print the report, no wider than the terminal."""
    since = max(report.window.since, min((p.since for p in report.found), default=report.window.since))
    until = max((p.until for p in report.found), default=report.window.until)
    tell(f"{_span(report.window.name)}{day(since)} to {day(until)} UTC, in {report.currency}")
    say()
    if report.found:
        _print_tables(report, annualise=annualise)
    if detailed:
        for found in report.found:
            _print_details(found, annualise=annualise)
    notes = list(_notes(report, annualise=annualise))
    for note in notes:
        tell(note)
    if report.found:
        if notes:
            say()
        tell(summary(report))


def _span(name: str) -> str:
    if ".." in name:
        return ""
    return f"{_NAMES.get(name) or f'the last {name[:-1]} {_UNITS[name[-1]]}'}: "


# ---------------------------------------------------------------------------- tables


def _print_tables(report: Report, *, annualise: bool) -> None:
    whole, told = report.total, partial(money, currency=report.currency)
    head = ("position", "staked", "income", "cost", "net", "APR", "APY", "price moves")
    rows = [
        (
            p.position_id,
            told(p.staked_end),
            told(p.income),
            told(p.cost),
            told(p.net),
            rate(p.in_kind.apr),
            rate(_apy(p.in_kind.apy, p.seconds, annualise=annualise)),
            gained(p.price_gain, report.currency),
        )
        for p in report.found
    ]
    if len(rows) > 1:
        price = gained(whole.profit - whole.net, report.currency)
        sums = (told(whole.staked), told(whole.income), told(whole.cost), told(whole.net))
        rows.append(("total", *sums, rate(whole.apr_in_kind), "", price))
    table(head, rows, right=tuple(range(1, len(head))))
    say()
    _print_against(report, whole)
    say()


def _print_against(report: Report, whole: Total) -> None:
    currency = report.currency
    head = ["position", "compounds", "over never", "over daily", "predicted"]
    rows = [
        [
            p.position_id,
            str(p.harvests),
            _over(p.never, currency),
            _over(p.daily, currency),
            _bias(p),
        ]
        for p in report.found
    ]
    if len(rows) > 1:
        sums = (_known(whole.over_never, currency), _known(whole.over_daily, currency))
        rows.append(["total", str(whole.harvests), *sums, ""])
    if whole.over_holding is not None:
        head.insert(4, "over holding")
        for row, p in zip(rows, report.found, strict=False):
            row.insert(4, "-" if p.holding is None else gained(p.holding.difference, currency))
        if len(rows) > 1:
            rows[-1].insert(4, gained(whole.over_holding, currency))
    table(head, rows, right=tuple(range(1, len(head))))


def _over(other: Against | None, currency: str) -> str:
    return _known(None if other is None else other.gain, currency)


def _known(value: int | None, currency: str) -> str:
    return "-" if value is None else gained(value, currency)


def _apy(value: int | None, seconds: int, *, annualise: bool) -> int | None:
    return value if annualise or seconds >= SHORT_SECONDS else None


def _bias(p: Performance) -> str:
    """How far rewards came in off what was predicted for them."""
    return _off(p.bias.reward, p.bias.predicted_reward)


def _off(realised: int, predicted: int) -> str:
    if predicted <= 0:
        return "-"
    permille = round(1000 * (realised - predicted) / predicted)
    return "exact" if permille == 0 else f"{permille / 10:+.1f} %"


# ---------------------------------------------------------------------------- details


def _print_details(p: Performance, *, annualise: bool) -> None:
    say(f"{p.position_id}    {duration(p.seconds)}, {p.samples:,} samples")
    for line in lay_out([row for row in _rows(p, annualise=annualise) if row is not None], room()):
        say(line)
    say()


def _rows(p: Performance, *, annualise: bool) -> Iterator[Row | None]:
    told, more = partial(money, currency=p.currency), partial(gained, currency=p.currency)
    compounds = f"fees of {p.harvests} compound{'' if p.harvests == 1 else 's'}" if p.harvests else "no compound"
    yield Row(
        "staked",
        _some(
            (f"{amount(p.principal_start)} became {amount(p.principal_end)}", True),
            (f"{told(p.staked_start)} at the beginning", True),
            (f"compounded {told(p.compounded)}", p.compounded),
            (f"put in {told(p.deposits)}", p.deposits),
            (f"taken out {told(p.withdrawals)}", p.withdrawals),
            (f"price moves {more(p.price_gain)}", p.price_gain),
        ),
        told(p.staked_end),
    )
    yield Row(
        "income",
        _some(
            (f"received {told(p.received)}", p.received),
            (f"claimed by hand {told(p.by_hand)}", p.by_hand),
            (f"the stake grew by itself {told(p.interest)}", p.interest),
            (f"pending {told(p.pending_end)}, {told(p.pending_start)} at the beginning", True),
            (f"left in the wallet or paid out {told(p.kept)}", p.kept > 10**16),
        ),
        told(p.income),
    )
    yield Row(
        "cost",
        _some(
            (f"{compounds}{f', {p.failed} failed' if p.failed else ''}", True),
            (f"beside it {told(p.lost)} lost in selling and depositing", p.lost > 10**16),
        ),
        told(p.cost),
    )
    rates = [_rates(p, in_kind=True, annualise=annualise), _rates(p, in_kind=False, annualise=annualise)]
    yield Row("rates", rates, rate(p.in_kind.apr), packed=False)
    yield from (_never(p), _daily(p), _model(p), _holding(p), _predicted(p))


def _some(*phrases: tuple[str, object]) -> list[str]:
    return [text for text, wanted in phrases if wanted]


def _rates(p: Performance, *, in_kind: bool, annualise: bool) -> str:
    found = p.in_kind if in_kind else p.money
    unit = p.principal_end.token.symbol if in_kind else f"{p.currency} with price moves"
    return f"in {unit}: APR {rate(found.apr)}, APY {rate(_apy(found.apy, p.seconds, annualise=annualise))}"


def _never(p: Performance) -> Row:
    if p.never is None:
        return Row("over never", ["what it would have come to is not on record"], "-")
    more = f"what was put back earns {money(p.ahead_per_year, p.currency)} a year more from here"
    phrases = _some(("against leaving the rewards where they are", True), (more, p.ahead_per_year > 0))
    return Row("over never", phrases, gained(p.never.gain, p.currency))


def _daily(p: Performance) -> Row:
    if p.daily is None:
        return Row("over daily", ["what a compound would have cost is not on record"], "-")
    cost = money(p.daily.cost, p.currency)
    phrase = f"against compounding every day, {p.daily.harvests} times for {cost}"
    return Row("over daily", [phrase], gained(p.daily.gain, p.currency))


def _model(p: Performance) -> Row | None:
    if p.model_error is None:
        return None
    off = f"± {money(abs(p.model_error), p.currency)}"
    return Row("model error", ["so far off is the comparisons' model about what really happened"], off)


def _holding(p: Performance) -> Row | None:
    if p.holding is None:
        return None
    more = partial(gained, currency=p.currency)
    phrases = [
        f"impermanent loss {more(p.holding.loss)}",
        f"fees of the pool {more(p.holding.fees)}",
        f"with the rewards {more(p.holding.difference + p.net)}",
    ]
    return Row("over holding", phrases, more(p.holding.difference))


def _predicted(p: Performance) -> Row | None:
    if not p.bias.predicted_reward:
        return None
    told = partial(money, currency=p.currency)
    rewards = f"{told(p.bias.reward)} came of {told(p.bias.predicted_reward)} predicted"
    fees = f"fees {_off(p.bias.cost, p.bias.predicted_cost)}"
    return Row("predicted", [rewards, fees], _bias(p))


# ---------------------------------------------------------------------------- what to know


def _notes(report: Report, *, annualise: bool) -> Iterator[str]:
    if report.without_rate:
        yield (
            f"no rate of {report.without_rate} is on record for this time, so amounts are in {USD}; "
            "[report] in the config names its feed"
        )
    span = max((p.seconds for p in report.found), default=0)
    if report.found and span < SHORT_SECONDS:
        how = "" if annualise else ", so no APY is shown (--annualise shows it)"
        yield f"{duration(span)} of data: annualised figures say little{how}"
    for p in report.found:
        yield from _notes_of(p)
    for name, why in report.missing:
        yield f"{name}: {why}"


def _notes_of(p: Performance) -> Iterator[str]:
    told = partial(money, currency=p.currency)
    if p.longest_gap >= _GAP_SECONDS and p.longest_gap * _GAP_PART >= p.seconds:
        yield f"{p.position_id}: nothing was recorded for {duration(p.longest_gap)}; rates in between are averages"
    if p.open_since is not None:
        yield f"{p.position_id}: a compound is under way since {day(p.open_since)} UTC; what came then is not counted"
    if p.failed:
        yield f"{p.position_id}: {p.failed} compound{'' if p.failed == 1 else 's'} failed; `keeper ledger` says why"
    if p.unvalued:
        yield f"{p.position_id}: {p.unvalued} movements have no known value and count as nothing"
    if p.deposits or p.withdrawals:
        yield (
            f"{p.position_id}: you put in {told(p.deposits)} and took out {told(p.withdrawals)}; "
            "neither counts as earned or lost"
        )


def summary(report: Report) -> str:
    """Say in one sentence what compounding was worth."""
    whole, told = report.total, partial(money, currency=report.currency)
    if whole.harvests == 0:
        more = _clause(whole.over_daily, "daily would have", report.currency, turned=True)
        return f"nothing was compounded: the same as never{f', and {more}' if more else ''}"
    times = f"compounding {whole.harvests} time{'' if whole.harvests == 1 else 's'}"
    parts = [
        text
        for value, word in ((whole.over_never, "never"), (whole.over_daily, "daily"))
        if (text := _clause(value, word, report.currency))
    ]
    unsure = whole.model_error is not None and 0 < abs(whole.over_never or 0) < whole.model_error
    about = f" (± {told(whole.model_error or 0)})" if unsure else ""
    earned = f" earned {' and '.join(parts)}{about}, and" if parts else ""
    return f"{times}{earned} cost {told(whole.cost)} in gas{_yet(report)}"


def _clause(value: int | None, word: str, currency: str, *, turned: bool = False) -> str:
    if value is None:
        return ""
    if turned:
        return f"{word} earned {money(abs(value), currency)} {'less' if value >= 0 else 'more'}"
    return f"{money(abs(value), currency)} {'more' if value >= 0 else 'less'} than {word}"


def _yet(report: Report) -> str:
    """A compound pays its cost back over the time after it: say so where that has not happened yet."""
    behind = report.total.over_never
    ahead = sum(p.ahead_per_year for p in report.found)
    if behind is None or behind >= 0 or ahead <= 0:
        return ""
    return f" so far; what it put back earns {money(ahead, report.currency)} a year more from here"
