"""``keeper race``: what every built-in policy would have made of each position since it is watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from keeper.cli.journal import configured, open_journal, want_position
from keeper.cli.options import globals_of, json_option, load_config
from keeper.cli.output import duration, emit_json, say, table, usd, usd_text
from keeper.cli.views import ago, day, tell
from keeper.engine.race import race_key
from keeper.strategy.performance.contest import REFERENCE, Contest, contest_of

if TYPE_CHECKING:
    from keeper.config.loader import Loaded
    from keeper.config.models import PositionConfig
    from keeper.store.sqlite import SqliteStore

__all__ = ["command"]

#: Marks the policy that decides.
_MARK: Final = " *"


@dataclass(frozen=True, slots=True)
class _Score:
    """One policy, in one position or in all; wad."""

    name: str
    #: Unix seconds.
    since: int
    gained: int
    harvests: int
    paid: int
    #: Sum, over its harvests, of the gas price over the mean; ``None`` where no mean is known.
    gas: float | None

    @property
    def ratio(self) -> float | None:
        """Mean gas price of its harvests over the mean."""
        return None if self.gas is None or not self.harvests else self.gas / self.harvests


@dataclass(frozen=True, slots=True)
class _Raced:
    """One position."""

    position: PositionConfig
    #: Name of the policy that decides.
    running: str
    contest: Contest

    @property
    def scores(self) -> list[_Score]:
        """Best first; of equals ``never``, for whom it needs no work."""
        mean = self.contest.mean_gas_wei
        found = [
            _Score(
                name,
                entry.since,
                self.contest.gained(name),
                entry.shadow.harvests,
                entry.shadow.paid,
                entry.shadow.gas_wei / mean if mean else None,
            )
            for name, entry in self.contest.entries.items()
        ]
        return _ranked(found)


@click.command(name="race")
@click.argument("position", required=False)
@json_option
def command(position: str | None) -> None:
    """Show what every built-in policy would have made of it since it is watched.

    The daemon keeps a shadow of each position for each policy. They live through the same rates, prices and gas, and
    touch nothing.
    """
    options = globals_of()
    loaded = load_config(options, secrets=False)
    wanted = configured(loaded) if position is None else [want_position(loaded, position)]
    with open_journal(loaded) as store:
        raced, missing = _read(loaded, store, wanted)
        now = _now(store, wanted)
    if options.json:
        emit_json("keeper.race/1", _json(raced, missing))
    elif not raced:
        tell(_why_not(loaded))
    else:
        _print(raced, missing, now)


def _read(
    loaded: Loaded, store: SqliteStore | None, wanted: Sequence[PositionConfig]
) -> tuple[list[_Raced], list[str]]:
    raced, missing = [], []
    for position in wanted:
        text = None if store is None else store.get_flag(race_key(position.chain, position.id))
        contest = contest_of(text)
        if contest is None:
            missing.append(position.id)
        else:
            raced.append(_Raced(position, position.policy or loaded.settings.strategy.policy, contest))
    return raced, missing


def _now(store: SqliteStore | None, wanted: Sequence[PositionConfig]) -> int:
    from keeper.cli.report_data import journal_now

    return 0 if store is None else journal_now(store, [position.id for position in wanted])


def _why_not(loaded: Loaded) -> str:
    if not loaded.settings.strategy.race:
        return "no race is kept: strategy.race is false in the config; set it to true, and `keeper run` begins one"
    return "nothing has raced yet: `keeper run` begins with its first look, and goes on with every one"


def _total(raced: Sequence[_Raced]) -> list[_Score]:
    """Add up, policy by policy."""
    by_name: dict[str, list[_Score]] = {}
    for one in raced:
        for score in one.scores:
            by_name.setdefault(score.name, []).append(score)
    found = []
    for name, scores in by_name.items():
        known = [score.gas for score in scores if score.gas is not None]
        found.append(
            _Score(
                name,
                min(score.since for score in scores),
                sum(score.gained for score in scores),
                sum(score.harvests for score in scores),
                sum(score.paid for score in scores),
                sum(known) if len(known) == len(scores) else None,
            )
        )
    return _ranked(found)


def _ranked(scores: Sequence[_Score]) -> list[_Score]:
    return sorted(scores, key=lambda score: (-score.gained, score.name != REFERENCE))


# ---------------------------------------------------------------------------- for people


def _print(raced: Sequence[_Raced], missing: Sequence[str], now: int) -> None:
    for one in raced if len(raced) == 1 else ():
        contest = one.contest
        lasted = f"{duration(contest.at - contest.since)}, " if contest.at > contest.since else ""
        tell(
            f"{one.position.id}: since {day(contest.since)} UTC ({lasted}{contest.looks:,} looks), "
            f"the last {ago(now, contest.at)}"
        )
    if len(raced) > 1:
        _print_positions(raced)
    say()
    running = {one.running for one in raced}
    scores = raced[0].scores if len(raced) == 1 else _total(raced)
    since = min(one.contest.since for one in raced)
    rows = [_row(score, running, since) for score in scores]
    table(("policy", "gained", "harvests", "gas paid", "gas/mean"), rows, right=(1, 2, 3, 4))
    say()
    for text in _sentences(raced, scores):
        tell(text)
    if missing:
        tell(f"not in it yet: {', '.join(missing)}")


def _row(score: _Score, running: set[str], since: int) -> tuple[str, ...]:
    mark = _MARK if score.name in running else ""
    later = f" (since {day(score.since)})" if score.since > since + 86_400 else ""
    ratio = "-" if score.ratio is None else f"{score.ratio:.2f}"
    return (score.name + mark + later, usd(score.gained), str(score.harvests), usd(score.paid), ratio)


def _print_positions(raced: Sequence[_Raced]) -> None:
    rows = []
    for one in raced:
        scores = one.scores
        own = _find(scores, one.running)
        rows.append(
            (
                one.position.id,
                day(one.contest.since),
                scores[0].name,
                usd(scores[0].gained),
                one.running,
                "-" if own is None else usd(own.gained),
            )
        )
    table(("position", "since (UTC)", "leads", "gained", "running", "gained"), rows, right=(3, 5))


def _sentences(raced: Sequence[_Raced], scores: Sequence[_Score]) -> list[str]:
    best, running = scores[0], sorted({one.running for one in raced})
    own = _find(scores, running[0]) if len(running) == 1 else None
    found = []
    if best.gained == 0:
        found.append("Nobody has gained on never compounding yet.")
    elif own is not None and own.gained == best.gained:
        found.append(f"{own.name} leads, and is running.")
    elif own is not None:
        found.append(f"{best.name} leads, {usd(best.gained - own.gained)} ahead of {own.name}, which is running.")
    else:
        found.append(f"{best.name} leads.")
    found += [f"{name} is running, and has no shadow: only built-in policies have." for name in _foreign(raced)]
    found.append(
        "Gained is over never compounding. A shadow pays what a compound is reckoned to cost, and sends nothing."
    )
    return found


def _foreign(raced: Sequence[_Raced]) -> list[str]:
    return sorted({one.running for one in raced if one.running not in one.contest.entries})


def _find(scores: Sequence[_Score], name: str) -> _Score | None:
    return next((score for score in scores if score.name == name), None)


# ---------------------------------------------------------------------------- for programs


def _json(raced: Sequence[_Raced], missing: Sequence[str]) -> Mapping[str, Any]:
    return {
        "positions": [
            {
                "position": one.position.id,
                "chain": one.position.chain,
                "since": one.contest.since,
                "last_look": one.contest.at,
                "looks": one.contest.looks,
                "running": one.running,
                "leads": one.scores[0].name,
                "policies": [_score_json(score) for score in one.scores],
            }
            for one in raced
        ],
        "total": [_score_json(score) for score in _total(raced)],
        "not_yet": list(missing),
    }


def _score_json(score: _Score) -> dict[str, Any]:
    return {
        "name": score.name,
        "since": score.since,
        "gained_usd": usd_text(score.gained),
        "harvests": score.harvests,
        "gas_paid_usd": usd_text(score.paid),
        "gas_paid_over_mean": None if score.ratio is None else f"{score.ratio:.6f}",
    }
