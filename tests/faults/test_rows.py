"""Every fault by itself, F1 to F50: keeper as a process, a real node, real contracts, and the chain as judge.

Rows that need another world are found here under their number too, and run the test that holds them.
"""

from __future__ import annotations

import importlib.util
import random
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from keeper.abi import Fn, keccak
from keeper.devnet.accounts import FARMER
from tests.faults import proxy as px
from tests.faults import world
from tests.faults.proxy import SEND, Proxy, Rule
from tests.faults.run import conclude
from tests.faults.schedule import KINDS, Fault, kill_points
from tests.faults.stage import POSITIONS, Knobs, Stage, signed_foreign
from tests.faults.wire import decode_raw

pytestmark = pytest.mark.devnet

RECEIPT = "eth_getTransactionReceipt"
COUNT = "eth_getTransactionCount"


def good(stage: Stage, *, met: str | None = None, **how) -> None:
    """Everything came to its end, and nothing is to be blamed; the fault ``met`` really happened."""
    verdict = conclude(stage, **how)
    assert verdict, f"\n{verdict}\n{stage.logged()[-6000:]}"
    if met is not None:
        assert verdict.facts["met"][met], f"the fault {met} never happened: {verdict.facts['met']}"


def bad_start(stage: Stage, *rules: Rule, on: int | None = None, **how) -> Stage:
    """Put rules in force (for one endpoint, or for all), and start keeper."""
    for index, proxy in enumerate(stage.proxies):
        if on is None or on == index:
            proxy.add(*rules)
    stage.start_keeper(**how)
    stage.wait_up()
    return stage


def until_met(stage: Stage, count: int = 3) -> None:
    """Let it run until so many faults were met, and a little longer; then no more faults."""
    assert stage.until(lambda: sum(proxy.met.total() for proxy in stage.proxies) >= count, 30), "no fault was met"
    stage.let(1)
    behave(stage)


def borrowed(path: str):
    """Import another test's module by its path below tests/."""
    file = Path(__file__).parents[1] / path
    spec = importlib.util.spec_from_file_location(f"borrowed_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def behave(stage: Stage) -> None:
    """No more faults."""
    for proxy in stage.proxies:
        proxy.clear()


def waiting_in_the_pool(stage: Stage, count: int = 1) -> None:
    """Let keeper send while no block is made."""
    stage.stop_blocks()
    stage.start_keeper()
    stage.wait_sent(count)
    assert stage.until(lambda: len(stage.pooled()) >= count, 10)


# ---------------------------------------------------------------------- the answer to a send


def test_F01_send_accepted_and_no_answer(stage):
    good(bad_start(stage(), Rule(px.accept_then_hang(3), count=2)), met="accept_then_hang")


def test_F02_send_accepted_and_connection_closed(stage):
    good(bad_start(stage(), Rule(px.accept_then_close(), count=3)), met="accept_then_close")


def test_F03_send_accepted_and_an_error_page(stage):
    s = bad_start(stage(), Rule(px.status(502), count=2), Rule(px.status(504), count=2))
    good(s, met="status_504")


@pytest.mark.parametrize("geth", [False, True])
def test_F04_hash_answered_and_never_gossiped(stage, geth):
    good(bad_start(stage(geth=geth), Rule(px.blackhole_ok(), count=3)), met="blackhole_ok")


@pytest.mark.parametrize("taken", [False, True])
def test_F05_already_known_on_the_first_send(stage, taken):
    s = stage()
    good(bad_start(s, Rule(px.error("already known", forward=taken), count=2)))
    assert s.proxies[0].refusals["already known"] >= 2


def test_F06_nonce_too_low_though_ours_is_mined(stage):
    s = stage()
    good(bad_start(s, Rule(px.error("nonce too low: next nonce 9, tx nonce 8", forward=True), count=3)))
    assert sum(proxy.refusals.total() for proxy in s.proxies) >= 3


@pytest.mark.parametrize("geth", [False, True])
def test_F07_nonce_taken_by_somebody_with_the_same_key(stage, geth):
    s = stage(geth=geth)
    waiting_in_the_pool(s)
    nonce = decode_raw(s.sent()[0].raw).nonce
    thief = s.foreign_transaction(nonce, gwei=30)
    assert thief
    s.go_on()
    good(s)
    assert thief in s.logged(), "who took the nonce is named"


def test_F07_nonce_counted_up_without_a_transaction(stage):
    s = stage()
    s.node.rpc("anvil_setNonce", FARMER.address, hex(s.first_nonce + 5))
    good(bad_start(s))


def test_F08_stale_lower_nonce(stage):
    s = stage()
    s.foreign_transaction()
    s.foreign_transaction()
    s.let(0.3)
    bad_start(s, Rule(px.stale_nonce(2), (COUNT,)))
    until_met(s)
    good(s, met="stale_nonce")


def test_F09_ghosts_in_the_pool(stage):
    ghosts = Rule(px.ghost_nonce(2), (COUNT,), when=lambda _m, params: params[1] == "pending")
    good(bad_start(stage(), ghosts), met="ghost_nonce")


@pytest.mark.parametrize("geth", [False, True])
def test_F10_dropped_from_the_pool(stage, geth):
    s = stage(geth=geth, max_in_flight=4)
    waiting_in_the_pool(s)
    s.drop_one()
    s.go_on()
    good(s)


@pytest.mark.parametrize("geth", [False, True])
def test_F11_whole_pool_lost(stage, geth):
    s = stage(geth=geth, max_in_flight=4)
    waiting_in_the_pool(s)
    s.let(0.5)
    lost = s.pooled()
    assert lost
    s.drop_all()
    s.go_on()
    good(s)


@pytest.mark.parametrize("lost", [0, 4])
def test_F12_node_restarted_without_its_pool_and_last_blocks(stage, lost):
    s = stage()
    waiting_in_the_pool(s)
    if lost:
        old = s.node.rpc("anvil_dumpState")
        s.go_on()
        s.wait_mined(1)
        s.stop_blocks()
        s.deepest = lost
        s.restart_node(old)
    else:
        s.restart_node()
    assert not s.pooled()
    s.go_on()
    good(s)


# ---------------------------------------------------------------------- fees


@pytest.mark.parametrize("geth", [False, True])
def test_F13_base_fee_rises_before_inclusion(stage, geth):
    s = stage(geth=geth)
    waiting_in_the_pool(s)
    s.base_fee = 4 * world.GWEI
    s.go_on()
    good(s)
    nonces = [decode_raw(seen.raw).nonce for seen in s.sent()]
    assert len(nonces) > len(set(nonces)), "what the base fee has left behind is outbid"


@pytest.mark.parametrize("geth", [False, True])
def test_F13_base_fee_above_every_ceiling(stage, geth):
    s = stage(geth=geth, max_gas_gwei=10)
    waiting_in_the_pool(s)
    s.base_fee = 50 * world.GWEI
    s.go_on()
    s.let(1.5)
    s.base_fee = world.BASE_FEE
    good(s)


def test_F14_replacements_are_high_enough_for_geth(stage):
    s = stage(geth=True)
    waiting_in_the_pool(s)
    for gwei in (3, 5, 8):
        s.base_fee = gwei * world.GWEI
        s.mine_one()
        s.let(0.8)
    s.base_fee = world.BASE_FEE
    s.go_on()
    good(s)
    assert s.proxies[0].refusals["replacement transaction underpriced"] == 0
    assert len(s.sent()) > 9, "nothing was replaced"


def test_F15_tip_below_the_floor_of_the_chain(stage):
    words = "transaction gas price below minimum: gas tip cap {}, minimum needed 2000000000"

    def low(_method, params):
        return decode_raw(bytes.fromhex(params[0][2:])).tip < 2 * world.GWEI

    good(bad_start(stage(), Rule(px.error(words.format(10**7)), when=low)), met="error:transaction gas price below mi")


# ---------------------------------------------------------------------- the chain changes its mind


@pytest.mark.parametrize("geth", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_F16_reorg_and_the_transaction_vanishes(stage, geth, depth):
    s = stage(geth=geth, confirmations=2)
    s.start_keeper()
    s.wait_mined(1)
    s.reorg(depth)
    s.wait_mined(3)
    s.reorg(depth)
    good(s)


def test_F16_reorg_deeper_than_the_confirmations_reverses_the_ledger(stage):
    s = stage(confirmations=1)
    s.start_keeper()
    assert s.until(lambda: bool(s.rows("SELECT 1 FROM harvests WHERE state = 'done'")), 30)
    s.reorg(6)
    assert s.until(lambda: bool(s.rows("SELECT 1 FROM receipts WHERE orphaned = 1")), 20), "the reorg went unnoticed"
    good(s)


def test_F17_reorg_and_the_same_transaction_in_another_block(stage):
    s = stage(confirmations=3)
    s.start_keeper()
    s.wait_mined(1)
    raw = "0x" + s.sent()[0].raw.hex()
    depth = s.height - s.block_of(s.sent()[0].hash) + 1
    s.reorg(depth + 1, [(raw, depth)])
    good(s)


def test_F18_reorg_and_another_transaction_wins_the_nonce(stage):
    s = stage(confirmations=3)
    s.start_keeper()
    s.wait_mined(1)
    first = s.sent()[0]
    raw = signed_foreign(decode_raw(first.raw).nonce, 30)
    s.foreign.append("0x" + keccak(bytes.fromhex(raw[2:])).hex())
    depth = s.height - s.block_of(first.hash) + 1
    s.reorg(depth, [(raw, 0)])
    good(s)
    assert s.foreign[-1] in s.logged(), "who took the nonce is named"


@pytest.mark.parametrize("way", ["rollback", "revert"])
def test_F19_the_chain_goes_back(stage, way):
    s = stage(confirmations=2)
    s.start_keeper()
    s.wait_mined(1)
    with s._chain:
        snapshot, height = s.node.rpc("evm_snapshot"), s.height
    s.wait_mined(2)
    if way == "rollback":
        s.rollback(4)
    else:
        s.revert(snapshot)
        assert s.height <= height + 1
    good(s)


# ---------------------------------------------------------------------- what reads say


def test_F20_receipts_null_though_mined(stage):
    s = bad_start(stage(), Rule(px.result(None), (RECEIPT,)))
    s.wait_mined(1)
    s.let(3)
    assert s.mined() <= 1, "a missing receipt was taken for a proof"
    behave(s)
    good(s)


def test_F21_transaction_indexing_in_progress(stage):
    s = bad_start(stage(), Rule(px.error("transaction indexing is in progress"), (RECEIPT,)))
    s.wait_mined(1)
    s.let(1.5)
    behave(s)
    good(s)


def test_F22_blocks_stop(stage):
    s = stage()
    waiting_in_the_pool(s)
    s.let(4)
    assert len(s.sent()) == 1, "nothing new is sent to a chain that stands still"
    assert '"chain.stalled"' in s.logged()
    s.go_on()
    good(s)


def test_F23_slow_and_irregular_blocks(stage):
    s = stage()
    rng = random.Random(23)
    s.stop_blocks()
    s.start_keeper()
    for _ in range(12):
        s.let(rng.choice([0.02, 0.1, 0.4]))
        for _ in range(rng.choice([1, 1, 2, 5])):
            s.mine_one()
    s.go_on()
    good(s)


def test_F24_node_hangs(stage):
    s = stage()
    s.start_keeper()
    s.wait_sent(1)
    s.freeze_node()
    s.let(1.5)
    s.thaw_node()
    good(s)


def test_F24_one_endpoint_of_three_hangs_for_ever(stage):
    good(bad_start(stage(endpoints=3), Rule(px.hang(3), ()), on=0), met="hang")


@pytest.mark.parametrize(
    "action", [px.status(429, forward=False, retry_after=1), px.error("daily request count exceeded", -32005)]
)
def test_F25_rate_limit_and_quota(stage, action):
    s = stage(endpoints=3)
    s.proxies[1].add(Rule(px.error("limit exceeded", -32005), (), count=5))
    good(bad_start(s, Rule(action, (), probability=0.9), on=0), met=action.name)


@pytest.mark.parametrize("kind", ["truncate", "garbage", "empty", "html"])
def test_F26_broken_answers(stage, kind):
    s = bad_start(stage(), Rule(px.broken(kind), count=3), Rule(px.broken(kind), (), probability=0.2))
    until_met(s)
    good(s, met=kind)


@pytest.mark.parametrize("action", [px.wrong_id(), px.missing_result()])
def test_F27_wrong_id_and_missing_result(stage, action):
    s = bad_start(stage(), Rule(action, count=3), Rule(action, (), probability=0.2))
    until_met(s)
    good(s, met=action.name)


def test_F28_wrong_chain_behind_one_endpoint(stage):
    s = bad_start(stage(endpoints=2), Rule(px.result("0x1"), ("eth_chainId",)), on=1)
    s.let(1.5)
    assert not s.proxies[1].seen, "an endpoint of another chain was given a transaction"
    behave(s)
    good(s)


def test_F28_chain_id_changes_while_running(stage):
    s = stage()
    s.start_keeper()
    s.wait_sent(1)
    s.proxies[0].add(Rule(px.result("0x1"), ("eth_chainId",)))
    s.proxies[0].add(Rule(px.close(), (), count=4))  # what comes back may be another node
    s.let(1.5)
    behave(s)
    good(s)


def test_F29_two_endpoints_at_different_heights(stage):
    s = stage(endpoints=2)
    s.proxies[1].add(Rule(px.frozen_head(s.genesis), ("eth_getBlockByNumber", "eth_blockNumber", COUNT, RECEIPT)))
    s.start_keeper()
    s.wait_up()
    s.let(2)
    behave(s)
    good(s)


def test_F29_two_endpoints_on_different_forks(stage):
    s = stage(endpoints=2)
    s.start_keeper()
    s.wait_mined(1)
    fork = world.start(s.fork_places(), mine_first=False)
    try:
        s.proxies[1].upstream = fork.port
        for _ in range(20):
            world.mine(fork.rpc, int(s.now), world.BASE_FEE)
            s.let(0.1)
        s.proxies[1].upstream = s.node.port
        good(s)
    finally:
        fork.stop()


# ---------------------------------------------------------------------- money and execution


def test_F30_no_funds_at_the_send(stage):
    s = stage()
    s.start_keeper()
    s.wait_sent(1)
    s.set_balance(0)
    s.let(2)
    s.set_balance(5 * 10**18)
    good(s)


def test_F31_funds_vanish_after_the_node_accepted(stage):
    s = stage()
    waiting_in_the_pool(s)
    s.set_balance(0)
    s.go_on()
    s.let(1.5)
    s.set_balance(5 * 10**18)
    good(s)


def test_F32_gas_estimate_too_low(stage):
    def less(value):
        for block in value:
            for call in block["calls"]:
                call["gasUsed"] = hex(int(call["gasUsed"], 16) * 6 // 10)
        return value

    s = bad_start(stage(), Rule(px.altered(less, "low_gas"), ("eth_simulateV1",)))
    s.wait_mined(1)
    behave(s)
    good(s, met="low_gas")
    assert s.rows("SELECT 1 FROM intents WHERE state = 'reverted'"), "nothing ran out of gas"


def test_F33_state_moves_between_simulation_and_block(stage):
    s = stage()
    waiting_in_the_pool(s)
    victim = decode_raw(s.sent()[0].raw).to
    slot = int.from_bytes(keccak(bytes(12) + bytes.fromhex(victim[2:]) + (3).to_bytes(32, "big")), "big")
    held = world.balance(s.node, s.places.token, victim)
    s.storage(s.places.token, slot, 0)
    s.mine_one()
    s.storage(s.places.token, slot, held)
    s.go_on()
    good(s)
    assert s.rows("SELECT 1 FROM intents WHERE state = 'reverted'"), "nothing was reverted"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Fn("Error(string)").encode("boom, boom"), "boom, boom"),
        (bytes.fromhex("deadbeef"), "0xdeadbeef"),
        (Fn("Panic(uint256)").encode(0x11), "0x11"),
    ],
    ids=["error", "custom", "panic"],
)
def test_F34_reverts_are_decoded_and_nothing_is_sent(stage, data, words):
    s = stage()
    original = [s.node.rpc("eth_getCode", farm, "latest") for farm in s.places.farms]
    for index, farm in enumerate(s.places.farms):
        behind = f"0x{0xFA0 + index:040x}"
        s.node.rpc("anvil_setCode", behind, original[index])
        s.node.rpc("anvil_setCode", farm, _refusing(Fn("getReward()").selector, data, behind))
    s.start_keeper()
    assert s.until(lambda: words in s.logged(), 20), s.logged()[-2000:]
    assert not s.sent()
    for farm, code in zip(s.places.farms, original, strict=True):
        s.node.rpc("anvil_setCode", farm, code)
    good(s)


def _refusing(selector: bytes, data: bytes, behind: str) -> str:
    """Code that reverts with ``data`` for one function, and delegates everything else."""
    # calldata[0:4] == selector ? revert(data) : delegatecall(behind, calldata)
    head = "5f3560e01c63" + selector.hex() + "1460{refuse}57"
    forward = "365f5f375f5f365f73" + behind[2:] + "5af43d5f5f3e60{fine}573d5ffd"
    fine, refuse = "5b3d5ff3", f"5b61{len(data):04x}" + "60{words}5f39" + f"61{len(data):04x}5ffd"
    size = [len(part.format(refuse="00", fine="00", words="00")) // 2 for part in (head, forward, fine, refuse)]
    at = {"fine": size[0] + size[1], "refuse": sum(size[:3]), "words": sum(size)}
    places = {name: f"{place:02x}" for name, place in at.items()}
    return "0x" + (head + forward + fine + refuse).format(**places) + data.hex()


def test_F35_block_gas_limit_below_what_is_needed(stage):
    s = stage()
    s.node.rpc("evm_setBlockGasLimit", hex(40_000))
    s.mine_one()
    s.start_keeper()
    s.wait_up()
    s.let(2)
    assert s.mined() == 0
    s.node.rpc("evm_setBlockGasLimit", hex(30_000_000))
    good(s)


# ---------------------------------------------------------------------- the process


@pytest.mark.parametrize("point", kill_points())
def test_F36_sigkill_at_each_point(stage, point):
    s = stage(max_in_flight=4)
    s.proxies[0].add(Rule(px.accept_then_close(), count=1))
    s.start_keeper(kill=f"{point}:2")
    s.wait_sent(1)
    if not s.ended:
        s.base_fee = 4 * world.GWEI
    good(s)
    assert any(ended.killed for ended in s.ended), f"the kill point {point} was never reached"


def test_F37_sigkill_at_random_times(stage):
    s = stage(max_in_flight=4)
    rng = random.Random(37)
    s.start_keeper()
    for _ in range(8):
        s.let(rng.uniform(0.1, 0.6))
        s.kill_keeper()
    good(s)
    assert len(s.ended) >= 8


def test_F38_journal_locked_by_somebody(stage):
    s = stage()
    s.start_keeper()
    s.wait_sent(1)
    with closing(sqlite3.connect(s.journal, timeout=5, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        s.let(1.5)
        other.execute("ROLLBACK")
    good(s)


def test_F38_disk_full(stage):
    s = stage()
    s.start_keeper()
    s.wait_up()
    s.kill_keeper()
    size = max(path.stat().st_size for path in s.state.iterdir())
    s.orders["largest_file"] = size + 4_096
    s.let(3)
    s.orders.pop("largest_file")
    s.kill_keeper()
    good(s)


def test_F39_two_keepers(stage):
    s = stage(max_in_flight=4, geth=True)
    s.start_keeper()
    s.wait_up()
    rival = s.start_rival()
    assert rival.wait(10) not in (None, 0)
    assert f"process {s.keeper.pid}" in s.logged()
    good(s)


@pytest.mark.parametrize("days", [-1, 1])
def test_F40_clock_jumps_a_day(stage, days):
    s = stage()
    s.start_keeper()
    s.wait_sent(1)
    s.jump_clock(days * 86_400)
    s.let(2)
    s.jump_clock(0)
    good(s)


@pytest.mark.parametrize("twist", [{"slow_key": {"seconds": 0.2}}, {"refusing_key": {"times": 2}}])
def test_F41_key_is_slow_or_refuses(stage, twist):
    s = stage()
    s.orders["twists"] = twist
    s.start_keeper()
    good(s)


def test_F41_wrong_key(stage):
    s = stage()
    right = s.config.read_text()
    s.config.write_text(right.replace(f'address = "{FARMER.address}"', f'address = "0x{"12" * 20}"'))
    refused = s.run(tag="wrong")
    assert refused.wait(10) not in (None, 0)
    assert not s.sent()
    s.config.write_text(right)
    s.start_keeper()
    good(s)


@pytest.mark.parametrize("what", ["tip", "zero", "null", "base"])
def test_F42_absurd_fee_oracle(stage, what):
    s = stage()
    undo = KINDS["absurd_fees"].begin(s, Fault("absurd_fees", 0, 0, (what,)))
    s.start_keeper()
    s.wait_up()
    s.let(2)
    undo()
    good(s)


def test_F43_priority_fee_method_missing(stage):
    missing = px.error("the method eth_maxPriorityFeePerGas does not exist/is not available", -32601)
    good(bad_start(stage(), Rule(missing, ("eth_maxPriorityFeePerGas",))))


# ---------------------------------------------------------------------- prices, tokens, relays, sinks


@pytest.mark.parametrize("test", ["test_a_contradicted_price_blocks_and_says_which", "test_a_stale_feed_blocks"])
def test_F44_price_oracle_moved_or_stale(fresh_world, tmp_path, test):
    from app_kit import write_config

    getattr(borrowed("devnet/test_compound.py"), test)(fresh_world, write_config(fresh_world, tmp_path))


@pytest.mark.parametrize("sells_back", [True, False], ids=["closed", "left-open"])
def test_F45_sandwiched_swap(fresh_world, tmp_path, monkeypatch, sells_back):
    from app_kit import write_config

    test_attacks_flight = borrowed("devnet/test_attacks_flight.py")
    fresh_world.advance(7 * 86_400)
    test_attacks_flight.test_a_sandwiched_swap_reverts_and_loses_nothing_but_its_gas(
        fresh_world, write_config(fresh_world, tmp_path), fresh_world.farmer.address, monkeypatch, sells_back
    )


@pytest.mark.parametrize("habit", [1, 2, 3, 4], ids=["no-return", "false-approve", "fee", "blocked"])
def test_F46_tokens_with_habits(stage, habit):
    s = stage()
    original = s.node.rpc("eth_getCode", s.places.token, "latest")
    s.node.rpc("anvil_setCode", s.places.token, weird_code())
    s.storage(s.places.token, 10, habit)
    s.start_keeper()
    if habit == 1:
        good(s)
        return
    s.let(4)
    if habit in (2, 4):
        assert not s.compounds()[POSITIONS[0]]
    s.storage(s.places.token, 10, 0)
    s.node.rpc("anvil_setCode", s.places.token, original)
    good(s, moved=habit == 3)


def weird_code() -> str:
    """Code of a token with habits."""
    import json

    return json.loads(Path(__file__).with_name("WeirdToken.json").read_text())["runtime"]


def test_F47_private_relay_swallows_everything(nursery):
    relay = Proxy(1, name="relay", path="/relay")
    relay.add(Rule(px.blackhole_ok()), Rule(px.error("not here", -32601), ()))
    extra = f'submit = "private_then_public"\nprivate_rpc = ["{relay.url}"]\nprivate_blocks = 6\n'
    with Stage(nursery, world.kept(), Knobs(extra=(("chain", extra),))) as s:
        relay.journal = s.journal
        s.start_keeper()
        assert s.until(lambda: bool(relay.seen), 20), "the relay was given nothing"
        at = s.height
        assert not s.sent(), "it went to the public at once"
        assert s.until(lambda: bool(s.sent()), 20), "it never went to the public"
        assert s.height - at >= 4
        good(s)
        assert set(relay.counts) <= {SEND, "eth_chainId"}, "nonces are never taken from a relay"
        assert all(seen.journaled for seen in relay.seen)
    relay.close()


def test_F48_our_transaction_is_pending_for_ever(stage):
    s = stage()
    undo = KINDS["pending_for_ever"].begin(s, Fault("pending_for_ever", 0, 0))
    s.start_keeper()
    s.wait_mined(1)
    s.let(3)
    undo()
    good(s)


def test_F49_nobody_takes_the_log(stage):
    s = stage()
    s.orders["err"] = s.orders["out"] = "/dev/full"
    s.start_keeper()
    assert s.until(s.settled, 40), s.busy()
    s.keeper.signal(15)
    assert s.keeper.wait(20) is not None


def test_F50_l1_fee_rises(nursery):
    oracle = "0x420000000000000000000000000000000000000f"
    with Stage(nursery, world.kept(), Knobs()) as s:
        s.config.write_text(s.config.read_text().replace('l1_fee = "none"', 'l1_fee = "op-stack"'))
        s.node.rpc("anvil_setCode", oracle, "0x5f545f5260205ff3")  # every view answers slot 0
        s.storage(oracle, 0, 10**18)
        s.start_keeper()
        assert s.until(lambda: '"cycle.done"' in s.logged(), 20)
        s.let(1)
        assert not s.sent(), "the L1 fee costs more than the harvest, and more than a transaction may cost"
        s.storage(oracle, 0, 10**13)
        good(s)


# ---------------------------------------------------------------------- lies of one endpoint among two


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.lie])
def test_one_lying_endpoint_of_two(stage, name):
    s = stage(endpoints=2, max_in_flight=4)
    values = KINDS[name].values(random.Random(1))
    undo = KINDS[name].begin(s, Fault(name, 0, 0, values, (0,)))
    s.start_keeper()
    s.wait_up()
    s.let(2.5)
    undo()
    good(s)


# ---------------------------------------------------------------------- journal and rehearsal


def test_a_rehearsal_sends_nothing(stage):
    s = stage()
    rehearsal = s.run("run", "--dry-run=simulate", "--once", tag="rehearsal")
    assert rehearsal.wait(30) == 0
    assert not any(method.startswith("eth_send") for method in s.proxies[0].counts)


def test_a_journal_that_is_gone(stage):
    s = stage()
    s.start_keeper()
    s.wait_sent(2)
    s.kill_keeper()
    sent = len(s.sent())
    for suffix in ("", "-wal", "-shm"):
        s.journal.with_name(s.journal.name + suffix).unlink(missing_ok=True)
    refused = s.run(tag="gone")
    code = refused.wait(5)
    refused.signal(9)
    assert code == 75, s.logged()[-1500:]
    assert "recover" in s.logged()
    assert len(s.sent()) == sent, "something was sent without the journal that knows what is in flight"


def test_a_stop_ends_soon_and_the_next_start_goes_on(stage):
    s = stage()
    waiting_in_the_pool(s)
    begun = time.monotonic()
    s.keeper.signal(15)
    assert s.keeper.wait(30) in (0, 6)
    assert time.monotonic() - begun < 12
    s.go_on()
    with suppress(AssertionError):
        s.start_keeper()
    good(s)
