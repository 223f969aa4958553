"""What happens next, or what there is to do, after each reason: every code has its sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from keeper.cli.output import address_long, duration, gas_price
from keeper.domain.decision import Decision, ReasonCode
from keeper.domain.position import StrategyOptions

__all__ = ["Scene", "what_next"]


@dataclass(frozen=True, slots=True)
class Scene:
    """What the sentences may speak of."""

    decision: Decision
    #: Unix seconds.
    now: int
    options: StrategyOptions = field(default_factory=StrategyOptions)
    #: Whether a daemon runs that will look again.
    running: bool = True
    #: Account that pays the gas, where it is known.
    owner: str | None = None
    native_symbol: str = "gas money"
    #: Whether a person has paused everything, or keeper has halted the account.
    stopped: bool = False
    #: Whether a compound has ended after this decision, so that its numbers are from before.
    outdated: bool = False

    @property
    def name(self) -> str:
        """The position's id."""
        return self.decision.position_id


def what_next(code: ReasonCode, scene: Scene) -> str:
    """Say what happens next by itself, or what a person can do."""
    said = _SENTENCES[code]
    return said(scene) if callable(said) else said.format(name=scene.name)


# ---------------------------------------------------------------------------- sentences with facts in them


def _harvests(scene: Scene) -> str:
    if scene.outdated:
        return f"nothing: it has been done since; `keeper explain {scene.name} --live` looks at the chain as it is now"
    if scene.stopped:
        return "nothing, for keeper signs nothing at present (see below); once that is undone it is compounded"
    if scene.running:
        return "keeper simulates it once more and compounds at its next look; `keeper status` shows it under way"
    return f"no daemon runs: `keeper run` starts it and compounds, `keeper harvest {scene.name}` does it once"


def _waits(scene: Scene) -> str:
    n = scene.decision.numbers
    at = scene.decision.next_check
    left = None if at is None else at - scene.now
    ways = []
    if n is not None and n.threshold_usd is not None and left is not None:
        ways.append(f"in about {duration(left)}" if left > 0 else "at its next look, if gas stays as it is")
    if n is not None and n.fire_gas_price_wei:
        ways.append(f"as soon as gas falls to {gas_price(n.fire_gas_price_wei)}")
    when = f": keeper compounds {', or '.join(ways)}" if ways else ": keeper looks again by itself"
    daemon = "" if scene.running else "; that takes `keeper run`, which is not running"
    return f"nothing to do{when}{daemon}"


def _cheaper(scene: Scene) -> str:
    n = scene.decision.numbers
    until = "for cheaper gas"
    if n is not None and n.expected_gas_price_wei and n.expected_in_seconds is not None:
        until = (
            f"for gas near {gas_price(n.expected_gas_price_wei)}, expected within {duration(n.expected_in_seconds)},"
        )
    return (
        f"nothing to do: keeper waits {until} and compounds then; `keeper harvest {scene.name} --force` does not wait"
    )


def _gas_money(scene: Scene) -> str:
    where = f" to {address_long(scene.owner)}" if scene.owner else " to the account that signs"
    return f"send {scene.native_symbol}{where}; keeper goes on by itself once it has arrived"


def _too_soon(scene: Scene) -> str:
    every = duration(scene.options.min_interval_seconds)
    return f"nothing to do: keeper compounds once `min_interval` ({every}) has passed since the last time"


def _payback(scene: Scene) -> str:
    within = duration(scene.options.payback_seconds)
    n = scene.decision.numbers
    gas = f", or gas falls to {gas_price(n.fire_gas_price_wei)}" if n is not None and n.fire_gas_price_wei else ""
    return f"nothing to do: it waits until the reward earns its cost back within {within} (`payback`){gas}"


def _watch_only(scene: Scene) -> str:
    due = scene.decision.reasons[0].code is ReasonCode.WATCH_ONLY
    hand = "compound by hand, for the rule says that it is due" if due else "compound by hand once it is due"
    return f"import a key (`keeper keys import`) and name it as `signer` instead of `owner`, or {hand}"


def _batch(scene: Scene) -> str:
    return f"nothing to do: keeper compounds batch {scene.options.batch} together once it is worth its round"


def _policy(scene: Scene) -> str:
    ran = "" if scene.running else "; that takes `keeper run`, which is not running"
    return f'nothing to do: the policy is asked again at every look{ran}; `policy = "rule"` goes back to keeper\'s own'


#: A sentence, or what makes one of the facts. ``{name}`` is the position's id.
_SENTENCES: Final[Mapping[ReasonCode, str | Callable[[Scene], str]]] = MappingProxyType(
    {
        ReasonCode.ABOVE_THRESHOLD: _harvests,
        ReasonCode.MAX_INTERVAL: _harvests,
        ReasonCode.POLICY_HARVESTS: _harvests,
        ReasonCode.BATCH_DUE: _harvests,
        ReasonCode.FORCED: "it is compounded at once; guards and limits hold all the same",
        ReasonCode.BELOW_THRESHOLD: _waits,
        ReasonCode.BELOW_COST: _waits,
        ReasonCode.NOTHING_PENDING: "nothing to do: keeper looks again by itself and decides once there is something",
        ReasonCode.PAYBACK_TOO_LONG: _payback,
        ReasonCode.CHEAPER_SOON: _cheaper,
        ReasonCode.BATCH_WAITS: _batch,
        ReasonCode.POLICY_WAITS: _policy,
        ReasonCode.POLICY_FAILED: 'mend the policy (the log has its words), or write `policy = "rule"`; until then '
        "nothing is compounded here",
        ReasonCode.NO_YIELD: "claim when you leave; if the reward goes where it earns something, say so with "
        "`target_yield`, and if its price holds after all, change `reward_drift`",
        ReasonCode.NO_PRINCIPAL: "stake something, or take the position out of the config",
        ReasonCode.REWARDS_ENDED: "claim what is left and leave, or move to a farm that pays; if rewards are renewed, "
        "keeper goes on by itself",
        ReasonCode.PROTOCOL_PAUSED: "nothing to do: keeper goes on by itself when the protocol reopens; its own "
        "channels say why it is closed",
        ReasonCode.HARVEST_TOO_EARLY: "nothing to do: keeper waits until claiming costs nothing any more",
        ReasonCode.GROWS_BY_ITSELF: "nothing to do: it is watched for `keeper report`, and there is nothing to harvest",
        ReasonCode.UNDERFUNDED: "nothing to do: keeper goes on by itself when the contract is funded again; if that "
        "does not happen, ask the project, and think of leaving",
        ReasonCode.PRICE_MISSING: "keeper waits: no price, no decision; add a source to [[prices.tokens]] (`keeper "
        "protocols` lists the kinds), `keeper doctor` checks those there are",
        ReasonCode.PRICE_STALE: "nothing to do: keeper decides again when the source is fresh; if it stays stale, "
        "`keeper doctor` checks it, and another source can stand in for it",
        ReasonCode.PRICE_DISAGREES: "nothing to do: keeper decides again when the sources agree; if they stay apart, "
        "find the wrong one, or widen prices.max_deviation_bps",
        ReasonCode.SIMULATION_REVERTED: "nothing was sent: keeper tries again at its next look; `keeper harvest {name} "
        "--dry-run` plays it step by step",
        ReasonCode.SIMULATION_SHORT: "nothing was sent: keeper tries again at its next look; if it stays so, the "
        "contract pays less than its view says, so think of leaving",
        ReasonCode.ROUTE_WORSE: "nothing was sent: add what it names to the route (`via`, or one more exchange); "
        "keeper asks again at its next look and goes on by itself once the ways are nearly alike; `quotes.max_worse` "
        "allows more",
        ReasonCode.ROUTE_COMPARED: "nothing to do: the configured way is good enough",
        ReasonCode.FEE_ABOVE_LIMIT: "nothing to do: keeper compounds when gas is back below the limit; raise it in "
        "[limits] if you mean to pay more",
        ReasonCode.DAY_LIMIT_REACHED: "nothing to do: keeper goes on when the fees of the last 24 h are lower; raise "
        "limits.per_day if you mean to pay more",
        ReasonCode.GAS_BALANCE_LOW: _gas_money,
        ReasonCode.TOO_SOON: _too_soon,
        ReasonCode.QUARANTINED: "see why it failed (`keeper ledger --position {name}`), mend that, then compound it "
        "once with `keeper harvest {name} --force`: that ends the quarantine",
        ReasonCode.IN_FLIGHT: "nothing to do: `keeper tx list --open` shows how far it is",
        ReasonCode.WATCH_ONLY: _watch_only,
        ReasonCode.EXIT_NEAR: "nothing to do: keeper begins nothing more here; claim when you leave",
        ReasonCode.YEAR_LIMIT_REACHED: "nothing to do: keeper compounds when the oldest is a year old; raise "
        "`max_harvests_per_year` if more are welcome",
        ReasonCode.RATE_UNKNOWN: "nothing to do: a day or two of `keeper run` shows the rate; `keeper harvest {name} "
        "--force` does not wait for it",
        ReasonCode.LOCK_BEYOND_EXIT: "nothing to do: keeper begins nothing that would lock the stake; claim when you "
        "leave, or move `exit`",
        ReasonCode.READ_FAILED: "nothing to do: keeper reads it again at its next look; if it stays so, `keeper "
        "doctor` tells which endpoint or contract fails",
        ReasonCode.TOO_SMALL: "leave it alone and claim when you leave, or add to it; keeper moves nothing by advice",
        ReasonCode.CLAIM_AT_EXIT: "claim when you leave; keeper moves nothing by advice",
        ReasonCode.SWITCH: "move the stake by hand if you agree; keeper moves nothing by advice",
        ReasonCode.GUARD_OK: "nothing to do: this guard holds nothing up",
    }
)
