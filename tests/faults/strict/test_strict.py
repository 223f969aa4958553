"""keeper's engine against pools with geth's rules: replacement, gaps, what is in flight, funds, and what is too cheap."""

from __future__ import annotations

import pytest

from keeper.errors import IntegrityError, KeeperError, Refused
from tests.faults.arena import counter
from tests.faults.strict.edr import EdrNode, why_not
from tests.faults.strict.node import CHAIN_ID, StrictNode
from tests.faults.strict.pool import Rules
from tests.faults.strict.rig import GWEI, OWNER, Rig

pytestmark = pytest.mark.devnet

ETHER = 10**18


class Edr(EdrNode):
    """EDR with the counter on it, and the shim's names for what both can do."""

    def __init__(self, chain_id=CHAIN_ID):
        super().__init__({OWNER: 10 * ETHER}, chain_id=chain_id)
        self.rpc("hardhat_setCode", counter.ADDRESS, counter.runtime())
        self.mine()

    def spike(self, wei):
        self.rpc("hardhat_setNextBlockBaseFeePerGas", hex(wei))

    def fund(self, wei):
        self.rpc("hardhat_setBalance", OWNER, hex(wei))

    def drop(self, tx_hash):
        self.rpc("hardhat_dropTransaction", tx_hash)


class Shim(StrictNode):
    """The shim with the counter on it."""

    def __init__(self, rules=None):
        super().__init__(rules=rules)
        self.rpc("anvil_setCode", counter.ADDRESS, counter.runtime())
        self.fund(10 * ETHER)
        self.mine()

    def spike(self, wei):
        self.rpc("anvil_setNextBlockBaseFeePerGas", hex(wei))

    def fund(self, wei):
        self.rpc("anvil_setBalance", OWNER, hex(wei))

    def drop(self, tx_hash):
        self.rpc("anvil_dropTransaction", tx_hash)


@pytest.fixture(params=["shim", "edr"])
def node(request):
    if request.param == "edr" and (reason := why_not()):
        pytest.skip(reason)
    with Edr() if request.param == "edr" else Shim() as started:
        yield started


@pytest.fixture
def rig(node, tmp_path):
    with Rig(node, tmp_path) as made:
        yield made


def test_a_plain_window_is_executed_once(rig):
    assert rig.launch(5) == [None] * 5
    rig.pass_blocks(3)
    assert rig.states() == ["confirmed"] * 5
    assert rig.counts(5) == [1] * 5


def test_what_the_fee_leaves_behind_is_outbid_and_the_pool_takes_every_bump(rig):
    """F14: the base fee rises past the bid; each replacement must raise both fields by a tenth or is refused."""
    rig.node.spike(2 * GWEI)
    rig.node.mine()
    rig.launch(1)
    for base in (20 * GWEI, 40 * GWEI, 80 * GWEI):
        rig.node.spike(base)
        rig.pass_blocks(1, seconds=31)
    rig.node.spike(60 * GWEI)
    rig.pass_blocks(1, seconds=31)
    rig.node.spike(60 * GWEI)
    rig.pass_blocks(4)
    (track,) = rig.tracks()
    assert len(track.attempts) >= 2, "nothing was outbid"
    for old, new in zip(track.attempts, track.attempts[1:], strict=False):
        assert new.max_fee_wei * 10 >= old.max_fee_wei * 11
        assert new.max_tip_wei * 10 >= old.max_tip_wei * 11
        assert new.nonce == old.nonce
    assert all("underpriced" not in str(event.fields) for event in rig.heard.events)
    assert rig.states() == ["confirmed"]
    assert rig.counts(1) == [1]


def test_a_cancel_replaces_by_the_same_rule(rig):
    """It costs at most five dollars at its caps: at 25 gwei that is no matter."""
    cancelled(rig, 25 * GWEI)


def test_a_cancel_is_signed_also_where_its_cap_is_what_bounds_it(rig, request):
    """Five dollars are 61 gwei: what is offered must be within what the signer allows, whatever the node simulates."""
    cancelled(rig, 50 * GWEI)


def cancelled(rig, base):
    rig.launch(1, fee=2 * GWEI)
    rig.node.spike(base)
    rig.pass_blocks(1)
    rig.flight.ask(rig.tracks()[0].intent.id, "no longer wanted")
    for _ in range(4):
        rig.node.spike(base)
        rig.pass_blocks(1, seconds=31)
    rig.node.spike(GWEI)
    rig.pass_blocks(5)
    assert rig.states() == ["cancelled"]
    assert rig.counts(1) == [0]
    assert rig.nonces() == (1, 1)


def test_a_dropped_one_in_the_middle_goes_out_again_and_no_gap_stays(rig):
    rig.launch(3)
    rig.node.drop(rig.tracks()[1].attempts[0].hash)
    assert rig.nonces()[1] <= 1
    rig.pass_blocks(1)
    assert rig.nonces()[0] == 1
    rig.pass_blocks(6)
    assert rig.states() == ["confirmed"] * 3
    assert rig.counts(3) == [1] * 3


def test_too_cheap_for_now_is_kept_in_the_pool_and_mined_when_the_fee_falls(rig):
    """The first bid is below the base fee for a few blocks, shorter than the time after which it is outbid."""
    rig.launch(2)
    for _ in range(2):
        rig.node.spike(50 * GWEI)
        rig.pass_blocks(1, seconds=2)
    assert rig.nonces()[0] == 0
    rig.node.spike(GWEI)
    rig.pass_blocks(3, seconds=2)
    assert [len(track.attempts) for track in rig.tracks()] == [1, 1], "nothing had to be outbid"
    assert rig.counts(2) == [1, 1]


def test_without_funds_nothing_is_signed_and_no_nonce_is_used_until_there_are_some(rig):
    """I19."""
    rig.node.fund(1000)
    with pytest.raises(Refused, match="send it some"):
        rig.launch(1)
    assert rig.store.next_nonce(CHAIN_ID, OWNER) == 0
    rig.node.fund(ETHER)
    assert rig.launch(1) == [None]
    rig.pass_blocks(3)
    assert rig.tracks()[-1].intent.nonce == 0
    assert rig.tracks()[-1].intent.state.value == "confirmed"


def test_funds_that_vanish_before_it_is_mined_are_waited_for_at_the_same_price(rig):
    """F31: the node forgets what can no longer be paid; the same bytes go out again when there is money."""
    rig.launch(1)
    rig.node.fund(1000)
    rig.pass_blocks(4, seconds=31)
    assert rig.counts(1) == [0]
    assert rig.states()[0] in ("signed", "broadcast")
    rig.node.fund(ETHER)
    rig.pass_blocks(6, seconds=31)
    assert rig.states() == ["confirmed"]
    assert rig.counts(1) == [1]
    assert {attempt.nonce for attempt in rig.tracks()[0].attempts} == {0}


# ------------------------------------------------------------------------------------------- a pool that is full


def test_forty_intents_through_a_full_pool_never_more_than_sixteen_at_once(tmp_path):
    """I20: above sixteen, a full pool takes transactions and silently forgets them."""
    with Shim(Rules(CHAIN_ID, global_slots=16)) as node, Rig(node, tmp_path, max_in_flight=16) as rig:
        wanted, most = 40, 0
        while wanted or rig.flight.unmined:
            count = min(wanted, rig.flight.room)
            if count:
                assert rig.launch(count) == [None] * count
                wanted -= count
            most = max(most, len(rig.flight.unmined))
            rig.pass_blocks(1)
        rig.pass_blocks(2)
        assert most == 16
        assert rig.states() == ["confirmed"] * 40
        assert rig.counts(40) == [1] * 40
        assert all(len(track.attempts) == 1 for track in rig.tracks())


def test_what_a_full_pool_has_silently_forgotten_goes_out_again(tmp_path):
    """The pool is fuller than keeper knows: it keeps sixteen of twenty."""
    with Shim(Rules(CHAIN_ID, global_slots=16)) as node, Rig(node, tmp_path, max_in_flight=20) as rig:
        rig.launch(20)
        assert rig.nonces()[1] == 16
        rig.pass_blocks(10, seconds=31)
        assert rig.states() == ["confirmed"] * 20
        assert rig.counts(20) == [1] * 20


def test_more_than_the_balance_in_flight_is_never_signed(tmp_path):
    with Shim() as node, Rig(node, tmp_path) as rig:
        (simulated,) = [rig.chain.simulate(OWNER, [rig._job(0, rig.chain.fees(), rig.chain.head(), None).call], [])]
        fees = rig.chain.fees()
        one = -(-simulated.gas_used * 130 // 100) * (2 * fees.base_fee_wei + fees.tip_wei)
        node.fund(3 * one + one // 2)
        rig.launch(3)
        with pytest.raises(Refused, match="in flight"):
            rig.launch(1)
        rig.pass_blocks(3)
        assert rig.counts(3) == [1] * 3


# ------------------------------------------------------------------------------------------------------- chain id


def test_another_chain_behind_the_endpoint_gets_nothing(tmp_path):
    with Shim() as node:
        with Rig(node, tmp_path / "a") as rig:
            rig.launch(1)
        node.rpc("anvil_setChainId", 5)
        with pytest.raises((IntegrityError, KeeperError)), Rig(node, tmp_path / "b") as rig:
            rig.launch(1)
        assert node.rpc("txpool_status")["pending"] == "0x1"


def test_a_reorganised_out_window_is_confirmed_once_more(tmp_path):
    """geth puts them back into its pool; keeper's own bytes meet "already known" or a used nonce, and all is one."""
    with Shim() as node, Rig(node, tmp_path) as rig:
        rig.launch(3)
        rig.pass_blocks(1)
        node.rpc("anvil_reorg", 1, [])
        rig.pass_blocks(5)
        assert rig.states() == ["confirmed"] * 3
        assert rig.counts(3) == [1] * 3
        assert rig.nonces() == (3, 3)
