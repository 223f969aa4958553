"""What tests of the live race share: a chain that needs no endpoint, and surveys of its positions at any time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

from app_kit import Recorder
from past_kit import BNB, CAKE, LP, Farm

from keeper.domain.decision import Decision, Reason, ReasonCode, Verdict
from keeper.domain.money import UsdWad
from keeper.domain.observation import Sample
from keeper.domain.position import Market, Position, StrategyOptions
from keeper.domain.valuation import TokenPrice, Valuation
from keeper.engine.assessment import Assessment
from keeper.engine.context import ChainContext, Limits, Plugins, PriceRules

OWNER = "0x" + "11" * 20


@dataclass
class Hands:
    """A clock that stands still until it is moved."""

    seconds: float = 1_000.0

    def now(self) -> int:
        return int(self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def position(name: str, **options) -> Position:
    return Position(name, "bnb", "x", OWNER, "s", "0x" + "55" * 20, options=StrategyOptions(**options))


def context(store, *names: str, **changes) -> ChainContext:
    return ChainContext(
        chain=SimpleNamespace(facts=SimpleNamespace(name="bnb")),
        plugins=Plugins({}, {}, {}, {}),
        positions=tuple(position(name) for name in names or ("cake-bnb",)),
        price_specs={},
        price_rules=PriceRules(),
        limits=Limits(UsdWad(10**18), UsdWad(10**18)),
        store=store,
        clock=Hands(),
        events=Recorder(),
        signers={},
        submitter=SimpleNamespace(),
        **changes,
    )


def assessed(sample: Sample, **options) -> Assessment:
    """The assessment that a survey would have made of what a sample remembers."""
    seen = sample.observation
    prices = dict(sample.prices)
    tokens = [token for token in (LP, CAKE) if token.address in prices]
    worth = Valuation(
        seen.block,
        tuple(TokenPrice(token, prices[token.address], prices[token.address], ()) for token in tokens),
        TokenPrice(BNB, prices[""], prices[""], ()),
    )
    of = position(seen.position_id, **options)
    case = SimpleNamespace(
        observation=seen, valuation=worth, holding=SimpleNamespace(market=Market(LP, (CAKE,))), position=of
    )
    reason = Reason(ReasonCode.BELOW_THRESHOLD, "not yet")
    decision = Decision(seen.position_id, seen.block, Verdict.WAIT, (reason,), sample.numbers)
    return Assessment(of, decision, None, seen, case)


@dataclass
class Fleet:
    """Many positions that are all alike."""

    count: int
    farm: Farm = field(default_factory=Farm)

    def survey(self, seconds: int) -> list[Assessment]:
        """Let time pass, and look."""
        self.farm.go(seconds)
        sample = self.farm.look()
        return [
            assessed(replace(sample, observation=replace(sample.observation, position_id=name))) for name in self.names
        ]

    @property
    def names(self) -> list[str]:
        return [f"p{number}" for number in range(self.count)]
