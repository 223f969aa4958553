"""From lanes to scores: ratios of sums, clipped means of bins, the gate, and batches against their bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keeper.backtest import batches
from keeper.backtest.report import on_core, on_stress
from keeper.backtest.results import CLAIRVOYANT, Results
from keeper.backtest.runner import Plan, run_cells
from keeper.backtest.score import GATE_BINS, best_constant, cell_scores, gate, regrets, total
from keeper.backtest.suite import BINS, Cell
from keeper.strategy.policies import HINDSIGHT, POLICIES, constant

CELLS = (Cell(2e4, 3.0), Cell(2e4, 7.0), Cell(2e6, 7.0))


def results(wealth: list[float], best: list[float], never: list[float]) -> Results:
    """Two lanes for each of three cells; one policy."""
    ones = np.ones((2, 6))
    return Results(
        cells=CELLS,
        cell_of=np.array([0, 0, 1, 1, 2, 2]),
        names=("mine", CLAIRVOYANT),
        wealth=np.array([wealth, best]),
        harvests=ones.astype(np.int64) * 4,
        paid=ones * 2,
        never=np.array(never),
        years=np.full(6, 0.5),
    )


def test_shares_are_ratios_of_sums_and_bins_are_clipped_means():
    found = cell_scores(
        results([101.0, 109.0, 50.0, 100.0, 108.0, 108.0], [110.0, 110.0, 110.0, 110.0, 110.0, 110.0], [100.0] * 6),
        "mine",
    )

    assert [c.captured for c in found] == pytest.approx([10 / 20, -50 / 20, 16 / 20])
    assert found[0].wealth_ratio == pytest.approx(210 / 200)
    assert found[0].harvests == 8.0  # 8 in a year
    assert found[0].gas_paid == 0.5
    score = total("mine", found)
    assert dict(score.bins) == pytest.approx({"3": 0.5, "7": (-1 + 0.8) / 2})
    assert score.score == pytest.approx((0.5 - 0.1) / 2)
    assert score.worst == pytest.approx(-2.5)
    assert score.worst_cell == "S/g 20000, n* 7, main, const"


def test_regret_is_in_basis_points():
    lost = regrets(results([100.0, 99.9, 101.0, 100.0, 100.0, 100.0], [110.0] * 6, [100.0] * 6), "mine")

    assert lost == pytest.approx({"3": 5.0, "7": -25.0})


def test_the_gate_names_each_thing_missed():
    good = total("mine", cell_scores(results([109.9] * 6, [110.0] * 6, [100.0] * 6), "mine"))
    passing = replace(
        good, score=0.955, worst=0.6, bins=tuple((f"{n:g}", least) for n, least in zip(BINS, GATE_BINS, strict=True))
    )

    assert gate(passing, {"0.3": 1.0}) == []
    assert len(gate(replace(passing, score=0.9549), {})) == 1
    assert len(gate(replace(passing, worst=0.59, score=float("nan")), {"0.7": 1.01, "0.3": 0.0})) == 3
    assert len(gate(replace(passing, bins=passing.bins[1:]), {})) == 1
    assert "n* 700" in gate(replace(passing, bins=passing.bins[:-1]), {})[0]


def test_the_outcome_does_not_depend_on_processes_or_company():
    cells = (*CELLS, Cell(2e4, 60.0, poll=6), Cell(2e2, 3.0, "l2", "epoch", depth=1.0))
    plan = Plan(("rule", "sqrt-7d"), base=4, seeds=2, hours=500)

    one, two = run_cells(cells, plan), run_cells(cells, replace(plan, jobs=2))
    apart = run_cells(cells[1:2], plan)

    assert one.names == two.names == ("rule", "sqrt-7d", *(constant(k).name for k in HINDSIGHT), CLAIRVOYANT)
    for name in one.names:
        assert cell_scores(one, name) == cell_scores(two, name)
        assert cell_scores(one, name)[1:2] == cell_scores(apart, name)


def test_the_best_constant_is_chosen_cell_by_cell():
    found = run_cells((Cell(2e2, 20.0), Cell(2e6, 200.0)), Plan(("rule",), base=1, seeds=2, hours=2_000))

    best = best_constant(found)

    for place, chosen in enumerate(best):
        assert chosen.captured == max(cell_scores(found, constant(k).name)[place].captured for k in HINDSIGHT)
        assert chosen.multiple in HINDSIGHT
    assert best[0].multiple < best[1].multiple


def test_reports_join_it_all(monkeypatch):
    monkeypatch.setattr("keeper.backtest.report.core", lambda: (Cell(2e4, 60.0), Cell(2e6, 200.0)))
    monkeypatch.setattr("keeper.backtest.report.idle", lambda: (Cell(2e2, 0.5),))
    monkeypatch.setattr(
        "keeper.backtest.report.stress", lambda: (Cell(2e4, 7.0, stress="a", poll=6), Cell(2e4, 7.0, stress="b"))
    )
    plan = Plan(("rule", "daily"), base=4, seeds=1, hours=300)

    core, stress = on_core(plan), on_stress(plan)

    assert [row.score.name for row in core.rows] == ["rule", "daily", "best-k", CLAIRVOYANT]
    assert core.rows[-1].score.score == 1.0
    assert core.missed  # 300 hours are no year
    assert set(core.rows[1].regret) == {"0.5"}
    assert core.rows[1].regret["0.5"] > 0
    assert [label for label, _ in stress.rows[0].score.bins] == ["a", "b", "batches of 20"]
    assert stress.missed is None
    assert on_core(replace(plan, names=("daily",))).missed is None
    assert core.as_json() == on_core(plan).as_json()


@pytest.fixture(scope="module")
def batch():
    return batches.batch_of(2, 4)


def test_sharing_comes_near_the_bound_and_nothing_passes_it(batch):
    shares = {
        name: batches.captured(batch, batches.alone(batch, POLICIES[name])) for name in ("rule", "weekly", "daily")
    }
    together = batches.captured(batch, batches.shared(batch))

    assert 0.99 < together <= 1.0
    assert max(shares.values()) < together
    assert shares["daily"] < 0


def test_the_bound_is_the_least_over_every_rhythm(batch):
    found = batches.bound(batch)

    def cost(base: float, forward: np.ndarray) -> float:
        holding = batch.yield_ * forward
        times = np.maximum(base, np.sqrt(2 * batch.own / holding))
        return batch.shared / base + float(np.sum(batch.own / times + holding * times / 2))

    for row, forward in enumerate(batch.forward):
        searched = min(cost(base, forward) for base in np.geomspace(1e-3, 2.0, 20_001))
        assert found[row] == pytest.approx(searched, rel=1e-6)
        assert found[row] <= searched * (1 + 1e-12)


def test_identical_positions_share_as_one(batch):
    # N alike: T = sqrt(2(K + N c)/(N h)), exactly
    alike = replace(batch, principal=np.full((1, 20), 5e3), forward=np.full((1, 20), 1e3))

    assert batches.bound(alike)[0] == pytest.approx((2 * (4 + 20) * 20 * 0.2 * 1e3) ** 0.5)
    assert batches.captured(alike, batches.shared(alike)) > 0.98  # the year does not end on a harvest
