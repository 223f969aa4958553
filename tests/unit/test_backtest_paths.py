"""The paths are what the benchmark says they are, and follow from their seed alone."""

from __future__ import annotations

import numpy as np
import pytest

from keeper.backtest.paths import HOURS, KINDS, REGIMES, START, gas_path, rate_path, season, uniforms


def test_the_season_has_its_trough_its_peak_and_its_weekend():
    log = season(7 * 24)  # starts on a Monday
    monday, saturday = log[:24], log[5 * 24 : 6 * 24]

    assert START % 86_400 == 0
    assert log.mean() == pytest.approx(0.0, abs=1e-12)
    assert (monday[5:12] - monday.mean()) == pytest.approx(-0.3)
    assert (monday[14:18] - monday.mean()) == pytest.approx(0.42)
    assert saturday.mean() == pytest.approx(-0.3)
    assert log[24 : 4 * 24].mean() == pytest.approx(0.17)


def test_gas_starts_where_the_calendar_says():
    quiet = season(24, START + 5 * 3_600)

    assert quiet[0] == pytest.approx(season(24)[5])


@pytest.mark.parametrize("name", REGIMES)
def test_gas_has_a_median_of_one_and_no_spike_below(name):
    paths = np.array([gas_path(3, seed, name) for seed in range(12)])

    assert paths.shape == (12, HOURS)
    assert np.all(paths > 0)
    assert np.median(paths, axis=1) == pytest.approx(1.0, rel=1e-12)  # each path, as each recorded year
    assert np.log(paths.min()) > -4.0  # spikes go up
    assert np.median(gas_path(3, 0, name, hours=500)) == pytest.approx(1.0, rel=1e-12)


def test_regimes_move_as_much_as_they_say():
    def spread(name: str) -> float:
        return float(np.std(np.log([gas_path(5, seed, name) for seed in range(12)])))

    assert spread("flat") == 0.0
    assert spread("calm") < spread("main") < spread("wild")
    # white .2, terms .3, .33, .45, and a season of about .32
    assert spread("main") == pytest.approx((0.2**2 + 0.3**2 + 0.33**2 + 0.45**2 + 0.32**2) ** 0.5, rel=0.15)


def test_a_trend_falls():
    logs = np.log([gas_path(1, seed, "trend") for seed in range(12)]) - np.log(
        [gas_path(1, seed, "main") for seed in range(12)]
    )

    assert np.median(logs[:, : HOURS // 10]) - np.median(logs[:, -HOURS // 10 :]) == pytest.approx(1.35, abs=0.5)


def test_spikes_come_as_often_as_they_should():
    jumps = [np.sum(np.diff(np.log(gas_path(2, seed, "l2"))) > 1.0) for seed in range(30)]

    assert np.mean(jumps) == pytest.approx(25 * np.exp(-1.0 / 2.0), rel=0.25)  # those of a log size above 1


def test_rates_are_what_their_names_say():
    year = np.linspace(0, 1, HOURS, endpoint=False)
    stop = rate_path(1, 0, "stop")
    epoch = rate_path(1, 0, "epoch")

    assert np.all(rate_path(1, 0, "const") == 1)
    assert rate_path(1, 0, "decay") == pytest.approx(np.exp(-year) / (1 - np.exp(-1)))
    assert len(np.unique(epoch)) == 53
    assert len(np.unique(epoch[:168])) == 1
    assert set(stop.tolist()) == {0.0, 1.0}
    assert 0.3 * HOURS <= int(np.sum(stop)) < 0.9 * HOURS
    assert np.all(np.diff(stop) <= 0)
    assert np.std(np.log([rate_path(1, s, "ou") for s in range(40)])) == pytest.approx(0.4, rel=0.15)


@pytest.mark.parametrize("kind", KINDS)
def test_rates_have_a_mean_of_one_but_those_that_stop(kind):
    mean = np.mean([rate_path(7, seed, kind) for seed in range(60)])

    assert mean == pytest.approx(0.6 if kind == "stop" else 1.0, abs=0.06)


def test_a_path_follows_from_its_seed_alone():
    assert np.array_equal(gas_path(1, 2, "wild"), gas_path(1, 2, "wild"))
    assert not np.array_equal(gas_path(1, 2, "wild"), gas_path(1, 3, "wild"))
    assert not np.array_equal(gas_path(1, 2, "wild"), gas_path(2, 2, "wild"))
    assert not np.array_equal(rate_path(1, 2, "ou"), rate_path(1, 3, "ou"))
    assert uniforms(1, 2, 1, 3).tolist() != uniforms(1, 2, 2, 3).tolist()


def test_the_streams_stay_the_same_from_release_to_release():
    # Another number here makes every published score another one.
    assert gas_path(1, 0, "main")[[0, 1, 4_000]].tolist() == pytest.approx(GAS, rel=1e-9)
    assert rate_path(1, 0, "ou")[[0, 1, 4_000]].tolist() == pytest.approx(RATES, rel=1e-9)
    assert uniforms(1, 0, 1, 2).tolist() == pytest.approx(UNIFORMS, rel=1e-12)


GAS = [0.730039495772237, 0.7502425138786006, 3.3175424022801594]
RATES = [0.9240623943920752, 0.949346692143349, 1.2804403035502985]
UNIFORMS = [0.2659584448525214, 0.46650639213263323]
