"""What happened between two samples of a position, and all of it in a row: values only; ``past`` puts them together."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.money import WAD, Token
from keeper.strategy.performance.points import Point

__all__ = ["Past", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """What happened between two points."""

    before: Point
    after: Point
    #: Base units of stake that came from outside (negative: were withdrawn), just before ``after``.
    external: int
    #: Base units of stake that recorded compounds sent, and that grew by themselves.
    compounded: int
    grown: int
    #: Base units of each reward that accrued.
    accrued: tuple[int, ...]
    #: Seconds times base units of stake, for the rate at which it accrued.
    stake_seconds: int
    #: Value of rewards that recorded claims brought, at receipt.
    received: int
    #: Value that recorded legs left in the wallet, paid out or turned into gas, less what they took from it.
    wallet: int
    #: Value that was paid out or turned into gas, which ``wallet`` contains.
    paid_out: int
    #: Value of rewards that were claimed by hand.
    by_hand: int
    #: Fees of compounds that ended, and of those among them that failed.
    cost: int
    wasted: int
    #: Compounds that were done in this step.
    harvests: int

    @property
    def seconds(self) -> int:
        """How long it took."""
        return self.after.at - self.before.at

    @property
    def compounded_for(self) -> int:
        """Seconds that what was compounded stood in it, on average."""
        if self.compounded <= 0:
            return 0
        return min((self.stake_seconds - self.before.stake * self.seconds) // self.compounded, self.seconds)

    def flow(self, unit: int) -> int:
        """Value of what came from outside."""
        return self.external * self.after.price // unit

    def profit(self, unit: int) -> int:
        """What was earned, price moves and costs included: all that changed, less what came from outside."""
        have = self.after.staked + self.after.idle - self.before.staked - self.before.idle
        return have - self.flow(unit) + self.wallet + self.by_hand - self.cost


@dataclass(frozen=True, slots=True)
class Past:
    """Points and the steps between them; at least one step."""

    stake_token: Token
    reward_tokens: tuple[Token, ...]
    steps: tuple[Step, ...]
    #: The stake grows by itself.
    rebasing: bool
    #: Ledger rows whose value nobody knows.
    unvalued: int
    #: Gas that finished compounds took, over what was predicted for them; wad.
    gas_ratio: int = WAD

    @property
    def first(self) -> Point:
        """Where it begins."""
        return self.steps[0].before

    @property
    def last(self) -> Point:
        """Where it ends."""
        return self.steps[-1].after
