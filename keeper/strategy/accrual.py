"""Forward rates where a protocol names none: learnt from looks at what is pending, and told as accruals.

``learn`` takes in one look and returns what is known then; ``accruals_of`` says the rates, or nothing while too little
was seen. The state goes to text and back, so that a restart forgets nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from keeper.domain.harvest import Harvest, HarvestState
from keeper.domain.money import Address, Amount
from keeper.domain.observation import Accrual, Observation, RateSource
from keeper.strategy.meter import Look, Meter
from keeper.strategy.recall import parsed, recalled

__all__ = ["RateState", "accruals_of", "learn", "must_learn", "rate_key", "state_of", "state_text"]

#: What the text of a state begins with; others are forgotten.
_VERSION: Final = 1

#: A stake that changes by more than this part between two looks: when it did is not known, nor what it has earned.
_STEADY_PART: Final = 10


@dataclass(frozen=True, slots=True)
class RateState:
    """What looks at one position have taught."""

    #: The staked token, and how much was staked at the last look.
    stake_token: Address
    stake: int
    meters: tuple[Meter, ...]


@dataclass(frozen=True, slots=True)
class _Head:
    """A written state, without its meters."""

    stake_token: Address
    stake: int


def rate_key(position_id: str) -> str:
    """Name the flag that keeps a position's state."""
    return f"rate:{position_id}"


def must_learn(observation: Observation) -> bool:
    """Whether the protocol left rates open: no accrual at all, or some whose source is OBSERVED.

    An adapter that knows the end of emission and not the rate gives ``Accrual(0, ends_at=..., source=OBSERVED)``.
    """
    return not observation.accruals or any(a.source is RateSource.OBSERVED for a in observation.accruals)


def learn(state: RateState | None, observation: Observation, harvests: Sequence[Harvest] = ()) -> RateState:
    """Take in a look.

    Args:
        state: what was known before; ``None`` at first.
        observation: what is pending now.
        harvests: the position's compounds, in any order (a few of the newest will do): what they claimed since the
            last look has accrued as well. Without them a compound between two looks may pass for a low rate.
    """
    if state is not None and state.stake_token != observation.principal.token.address:
        state = None
    now, stake = observation.block.timestamp, observation.principal.raw
    own = harvests if observation.vault_share_ppm is None else ()
    before = stake if state is None else state.stake
    steady = abs(stake - before) * _STEADY_PART <= max(stake, before)
    known = {} if state is None else {meter.token: meter for meter in state.meters}
    meters = []
    for amount in observation.pending:
        token = amount.token.address
        meter = known.get(token) or _first(token, amount.raw, now, own)
        if now == meter.at:
            meters.append(meter)
            continue
        claimed = _claimed(own, token, meter.at, now)
        if claimed is None or not steady:
            meters.append(meter.restarted(now, amount.raw))
            continue
        # None between two looks after the end, or where time went back.
        seconds = max(min(now, _end_of(observation, token) or now) - meter.at, 0)
        work = (stake + before) * seconds // 2
        look = Look(amount.raw, claimed, seconds, work, stake, observation.epoch_seconds)
        meters.append(meter.seen(now, look))
    return RateState(observation.principal.token.address, stake, tuple(meters))


def accruals_of(state: RateState | None, observation: Observation) -> tuple[Accrual, ...]:
    """Return the learnt rate of each reward token at the present stake; a token whose rate is not known has none.

    Where the adapter gave some rates and left others open, its own come first.
    """
    given = [a for a in observation.accruals if a.source is not RateSource.OBSERVED]
    known = {} if state is None else {meter.token: meter for meter in state.meters}
    told = {a.per_year.token.address for a in given}
    learnt = []
    for amount in observation.pending:
        meter = known.get(amount.token.address)
        if meter is None or amount.token.address in told:
            continue
        rate = meter.per_year(observation.principal.raw, observation.epoch_seconds)
        if rate is not None:
            learnt.append(_accrual(Amount(amount.token, rate), observation))
    return (*given, *learnt)


def state_text(state: RateState) -> str:
    """Write a state as text for a flag."""
    return json.dumps({"version": _VERSION, **asdict(state)}, separators=(",", ":"))


def state_of(text: str | None) -> RateState | None:
    """Read what ``state_text`` wrote; ``None`` where it is missing, garbage, or another version's."""
    try:
        data = parsed(text or "null")
        if not isinstance(data, dict) or data.get("version") != _VERSION or not isinstance(data.get("meters"), list):
            return None
        head = recalled(_Head, {key: value for key, value in data.items() if key not in ("version", "meters")})
        return RateState(head.stake_token, head.stake, tuple(recalled(Meter, meter) for meter in data["meters"]))
    except ValueError:
        return None


def _first(token: Address, raw: int, now: int, harvests: Sequence[Harvest]) -> Meter:
    """Begin at the last compound that claimed this token, when there is one: nothing was pending after it."""
    done = (h for h in harvests if h.state is HarvestState.DONE and _received(h, token))
    ends = [h.finished_at for h in done if h.finished_at is not None and h.finished_at < now]
    return Meter(token, max(ends), 0) if ends else Meter(token, now, raw)


def _claimed(harvests: Sequence[Harvest], token: Address, since: int, now: int) -> int | None:
    """Add up what was claimed between two looks; ``None`` when one of the looks was in the midst of a compound."""
    claimed = 0
    for harvest in harvests:
        if harvest.finished_at is None or harvest.finished_at <= since or harvest.state is HarvestState.CANCELLED:
            continue
        if harvest.started_at < since or harvest.finished_at > now:
            return None
        claimed += _received(harvest, token)
    return claimed


def _received(harvest: Harvest, token: Address) -> int:
    return sum(amount.raw for amount in harvest.received if amount.token.address == token)


def _open_accrual(observation: Observation, token: Address) -> Accrual | None:
    for accrual in observation.accruals:
        if accrual.source is RateSource.OBSERVED and accrual.per_year.token.address == token:
            return accrual
    return None


def _end_of(observation: Observation, token: Address) -> int | None:
    accrual = _open_accrual(observation, token)
    return None if accrual is None else accrual.ends_at


def _accrual(per_year: Amount, observation: Observation) -> Accrual:
    """Tell a learnt rate; nothing comes after the end that the contract names."""
    named = _open_accrual(observation, per_year.token.address)
    share, ends_at = (0, None) if named is None else (named.own_share_ppm, named.ends_at)
    if ends_at is not None and ends_at <= observation.block.timestamp:
        per_year = Amount(per_year.token, 0)
    return Accrual(per_year, share, ends_at, RateSource.OBSERVED)
