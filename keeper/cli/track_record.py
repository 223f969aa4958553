"""Past compounds, predicted beside realised, and what the predictions were off by."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from keeper.cli.output import usd
from keeper.cli.views import ago
from keeper.domain.harvest import Harvest, HarvestState
from keeper.strategy.learning import Accuracy, Bias

__all__ = ["bias_json", "bias_text", "harvest_line"]


def bias_json(bias: Bias | None) -> dict[str, Any] | None:
    """Realised over predicted, for programs; ``None`` before the first compound that was predicted."""
    if bias is None or not bias.reward.count:
        return None
    ratios = {name: _ratio(accuracy) for name, accuracy in _accuracies(bias)}
    return {"compounds": bias.reward.count} | {n: None if r is None else round(r, 6) for n, r in ratios.items()}


def bias_text(bias: Bias | None) -> str:
    """Spell by how much predictions were off; empty before the first."""
    if bias is None or not bias.reward.count:
        return ""
    times = f"{bias.reward.count} compound{'' if bias.reward.count == 1 else 's'}"
    ratios = [(name, _ratio(accuracy)) for name, accuracy in _accuracies(bias)]
    return f"{times} off by: {', '.join(f'{name} {_off(ratio)}' for name, ratio in ratios if ratio is not None)}"


def _accuracies(bias: Bias) -> tuple[tuple[str, Accuracy], ...]:
    return (("reward", bias.reward), ("cost", bias.cost), ("gas", bias.gas))


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


def _ratio(accuracy: Accuracy) -> Decimal | None:
    """Return realised over predicted, each over the sum of all compounds."""
    return Decimal(accuracy.realised) / Decimal(accuracy.predicted) if accuracy.predicted > 0 else None


def _off(ratio: Decimal) -> str:
    off = (ratio - 1) * 100
    return f"{off:+.1f} %" if abs(off) >= Decimal("0.05") else "exact"
