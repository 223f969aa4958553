"""Past compounds, predicted beside realised, and what the predictions were off by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from keeper.cli.output import usd
from keeper.cli.views import ago
from keeper.domain.harvest import Harvest, HarvestState

__all__ = ["Bias", "bias_of", "bias_text", "harvest_line"]


@dataclass(frozen=True, slots=True)
class Bias:
    """Realised over predicted, each over the sum of all compounds; ``None`` where nothing was predicted."""

    compounds: int
    reward: Decimal | None
    cost: Decimal | None
    gas: Decimal | None


def bias_of(harvests: Sequence[Harvest]) -> Bias | None:
    """Compare what was predicted with what came; ``None`` before the first finished compound.

    Compounds that were read from the chain after the journal was lost have no prediction and do not count.
    """
    done = [h for h in harvests if h.state is HarvestState.DONE and h.predicted_gas > 0]
    if not done:
        return None
    return Bias(
        len(done),
        _ratio(sum(h.received_usd for h in done), sum(h.predicted_reward_usd for h in done)),
        _ratio(sum(h.cost_usd for h in done), sum(h.predicted_cost_usd for h in done)),
        _ratio(sum(h.gas_used for h in done), sum(h.predicted_gas for h in done)),
    )


def bias_text(bias: Bias) -> str:
    """Spell the bias: what came, over what was predicted."""
    times = f"{bias.compounds} compound{'' if bias.compounds == 1 else 's'}"
    said = [
        f"{word} {_off(ratio)}"
        for word, ratio in (("reward", bias.reward), ("cost", bias.cost), ("gas", bias.gas))
        if ratio is not None
    ]
    return f"{times} off by: {', '.join(said)}"


def harvest_line(harvest: Harvest, sent: Sequence[dict[str, object]], now: int) -> list[str]:
    """Spell one compound in phrases: when, predicted beside realised, and its last transaction."""
    when = f"{harvest.state.value} {ago(now, harvest.finished_at or harvest.started_at)}"
    predicted = f"predicted {usd(harvest.predicted_reward_usd)} for {usd(harvest.predicted_cost_usd)}"
    if harvest.state is HarvestState.OPEN:
        return [f"{when}: {predicted}, under way"]
    got = f"got {usd(harvest.received_usd)} for {usd(harvest.cost_usd)}"
    hashes = [str(item["tx"]) for item in sent if item["tx"]]
    tx = [f"tx {hashes[-1][:6]}..{hashes[-1][-4:]}"] if hashes else []
    return [f"{when}: {predicted}, {got}", *tx, *([harvest.error] if harvest.error else [])]


def _ratio(realised: int, predicted: int) -> Decimal | None:
    return Decimal(realised) / Decimal(predicted) if predicted > 0 else None


def _off(ratio: Decimal) -> str:
    off = (ratio - 1) * 100
    return f"{off:+.1f} %" if abs(off) >= Decimal("0.05") else "exact"
