"""The race beside the daemon: after a survey, every policy's shadows of some positions live on by what was seen.

It only reads what the survey has read and decided, and writes one text for each position under a key of its own: no
decision can come out otherwise because of it, and whatever goes wrong in it is told and forgotten. What it costs is
bounded: of many positions each survey takes a part along, those first that have waited longest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from keeper.domain.block import BlockRef
from keeper.domain.events import EventName, Level
from keeper.domain.harvest import Harvest, HarvestState, LedgerEntry
from keeper.domain.observation import Sample
from keeper.domain.position import SideEffect
from keeper.engine.assessment import Assessment
from keeper.engine.context import ChainContext
from keeper.engine.track_record import TrackRecord, known_record
from keeper.strategy.performance.contest import Contest, advance, begun, contest_of, contest_text, field_of, look_before
from keeper.strategy.performance.past import step_between
from keeper.strategy.performance.points import points_of
from keeper.strategy.performance.ticks import tick_of
from keeper.strategy.threshold import Rule

__all__ = ["note_race", "race_key"]

#: A position's shadows live on at most once in so many seconds of block time, and are written down each time.
EVERY_SECONDS: Final = 600

#: Of many positions one in so many is taken along by a survey; but this many, if there are.
PART: Final = 16
LEAST: Final = 64

#: Compounds that are looked at for what happened since the last look.
_HARVESTS: Final = 60

#: Seconds after which a failure is told again.
_REPEAT_SECONDS: Final = 6 * 3_600

#: Where the race of a chain keeps what is under no position's id: that its texts were looked through.
_BEGUN: Final = ""


def race_key(chain: str, position_id: str = "") -> str:
    """Name the flag that keeps a position's race; without a position what all of a chain begin with."""
    return f"race:{chain}:{position_id}"


def note_race(context: ChainContext, assessments: Sequence[Assessment], block: BlockRef) -> None:
    """Take the shadows of some positions along; nothing ever comes out of it but what `keeper race` shows.

    Args:
        context: the chain; ``races`` is ``None`` where nobody wants a race.
        assessments: of the survey, as they were recorded.
        block: that they are of.
    """
    races = context.races
    if races is None:
        return
    try:
        if _BEGUN not in races:
            _forget_others(context, races)
        texts: dict[str, str | None] = {}
        for assessment in _in_turn(assessments, races, block.timestamp):
            _take_along(context, assessment, races, texts)
        context.store.set_flags(texts)
    except Exception as error:  # noqa: BLE001 (a game beside the work must not stop it, whatever is wrong)
        _tell(context, error)


def _forget_others(context: ChainContext, races: dict[str, int]) -> None:
    """Drop the races of positions that are not configured any more."""
    known = {race_key(context.name, position.id) for position in context.positions}
    context.store.set_flags({key: None for key in context.store.flags(race_key(context.name)) if key not in known})
    races[_BEGUN] = 0


def _in_turn(assessments: Sequence[Assessment], races: Mapping[str, int], now: int) -> list[Assessment]:
    """Return those to take along, the ones that have waited longest first; ``races`` has when each was."""
    waiting = [
        (races.get(a.position.id, 0), place)
        for place, a in enumerate(assessments)
        if a.case is not None and abs(now - races.get(a.position.id, 0)) >= EVERY_SECONDS
    ]
    waiting.sort()
    return [assessments[place] for _, place in waiting[: max(LEAST, -(-len(assessments) // PART))]]


def _take_along(
    context: ChainContext, assessment: Assessment, races: dict[str, int], texts: dict[str, str | None]
) -> None:
    """Take one position's shadows along; one that cannot be harms no other, and begins anew."""
    position, now = assessment.position.id, assessment.decision.block.timestamp
    key = race_key(context.name, position)
    races[position] = now
    try:
        contest = contest_of(context.store.get_flag(key))
        if contest is not None and 0 <= now - contest.at < EVERY_SECONDS:  # just started, and it has looked before
            races[position] = contest.at
        elif (found := _lived_on(context, assessment, contest)) is not None:
            texts[key] = contest_text(found)
    except Exception as error:  # noqa: BLE001 (see note_race)
        texts[key] = None
        _tell(context, error, position)


def _lived_on(context: ChainContext, assessment: Assessment, contest: Contest | None) -> Contest | None:
    """Return the contest after this look; ``None`` where nothing can be said by it."""
    case, numbers = assessment.case, assessment.decision.numbers
    record = known_record(context, assessment.position)
    if case is None or numbers is None or record.newest[1] == HarvestState.OPEN:
        return None  # the midst of a compound is no place to look from
    worth = case.valuation
    prices = tuple((token.address, worth.price(token).mid) for token in case.holding.market.tokens)
    points, rewards = points_of([Sample(case.observation, numbers, prices)])
    if not points:
        return None
    point, tokens = points[0], (case.observation.principal.token, rewards)
    policies = field_of(Rule(case.position.options.risk_factor_bps, case.position.options.payback_seconds))
    if contest is None or contest.stake_token != tokens[0].address or point.at <= contest.at:
        return begun(point, tokens, policies)
    rebasing = point.shared or SideEffect.REBASING_PRINCIPAL in case.holding.market.side_effects
    before, pace = look_before(contest, point, tokens)
    harvests, ledger = _since(context, record, contest, case.position.id)
    step = step_between(before, point, tokens, harvests, ledger, rebasing=rebasing, pace=pace)
    tick = tick_of(step, tokens, contest.terms.after(point), numbers)
    advance(contest, tick, rewards, pace, policies, context.outlook.memory)
    return contest


def _since(
    context: ChainContext, record: TrackRecord, contest: Contest, position: str
) -> tuple[list[Harvest], list[LedgerEntry]]:
    """Return what the journal has of the time since the last look: nothing, where no compound was begun."""
    if record.last_at is None or record.last_at < contest.at:
        return [], []
    return context.store.harvests(position, limit=_HARVESTS), context.store.ledger(position, contest.at)


def _tell(context: ChainContext, error: Exception, position: str | None = None) -> None:
    """Tell what is wrong, now and then."""
    key, now = f"race:{position or context.name}", context.clock.monotonic()
    if now - context.said.get(key, -_REPEAT_SECONDS) < _REPEAT_SECONDS:
        return
    context.said[key] = now
    context.emit(
        EventName.RACE_FAILED,
        Level.WARNING,
        chain=context.name,
        position=position,
        error=f"{type(error).__name__}: {error}",
    )
