"""A fork to play on: impersonated sends work there, time passes there, and the origin sees reads alone."""

import pytest
from chain_kit import BALANCE_OF, EARNED, Farm, Proxy, build_farm, make_facts

from keeper.chain.anvil import LocalNode
from keeper.chain.fork import Fork, open_fork, stand_in
from keeper.domain.money import Address
from keeper.domain.transaction import SignedTx, TxRequest
from keeper.errors import ConfigError, IntegrityError, KeyUnavailable
from keeper.ports import Chain, KeySigner, Submission, Submitter

pytestmark = pytest.mark.devnet


@pytest.fixture(scope="module")
def farm(anvil_path):
    with LocalNode.start(binary=anvil_path) as node:
        yield build_farm(node)


@pytest.fixture
def origin(farm):
    with Proxy(farm.node.url) as proxy:
        yield proxy


@pytest.fixture
def fork(origin, anvil_path):
    with open_fork(origin.url, make_facts(), binary=anvil_path) as opened:
        yield opened


def request(fork: Fork, farm: Farm, **changes) -> TxRequest:
    fees = fork.chain.fees()
    fields = {
        "chain_id": 31337,
        "sender": farm.owner,
        "nonce": fork.chain.nonces(farm.owner).pending,
        "to": farm.farm,
        "data": farm.calls(0)[0].data,
        "value": 0,
        "gas": 400_000,
        "max_fee_wei": 2 * fees.base_fee_wei + fees.tip_wei,
        "max_tip_wei": fees.tip_wei,
    }
    return TxRequest(**(fields | changes))


def mined(fork: Fork, tx_hash: str):
    for _ in range(1_000):
        if (receipt := fork.chain.receipt(tx_hash)) is not None:
            return receipt
    raise AssertionError("never mined")


def test_a_harvest_on_the_fork_leaves_the_origin_untouched(farm, fork, origin):
    before = farm.node.rpc("eth_blockNumber"), farm.node.rpc("eth_getTransactionCount", farm.owner, "latest")
    key, submitter = fork.impersonator(farm.owner)
    signed = key.sign(request(fork, farm))
    assert fork.chain.receipt(signed.hash) is None
    assert submitter.submit(signed)[0] is Submission.ACCEPTED

    receipt = mined(fork, signed.hash)

    assert (receipt.status, receipt.tx_hash) == (1, signed.hash)
    (paid,) = receipt.transfers
    assert (paid.token, paid.recipient) == (farm.reward, farm.owner)
    assert fork.chain.block(receipt.block_number).hash == receipt.block_hash
    assert (farm.node.rpc("eth_blockNumber"), farm.node.rpc("eth_getTransactionCount", farm.owner, "latest")) == before
    assert origin.requests > 0
    forbidden = ("eth_send", "anvil_", "evm_", "hardhat_", "personal_", "miner_", "debug_set")
    assert not [method for method in origin.methods if method.startswith(forbidden)]


def test_the_same_bytes_again_are_known_and_a_used_nonce_is_told(farm, fork):
    key, submitter = fork.impersonator(farm.owner)
    signed = key.sign(request(fork, farm))
    submitter.submit(signed)
    assert submitter.submit(signed)[0] is Submission.KNOWN
    late = key.sign(request(fork, farm, nonce=signed.request.nonce, gas=500_000))
    assert submitter.submit(late)[0] is Submission.NONCE_USED


def test_unknown_hashes_have_no_receipt(fork):
    assert fork.chain.receipt("0x" + "12" * 32) is None


def test_real_hashes_still_work(farm, fork):
    assert fork.chain.receipt(farm.node.rpc("eth_getBlockByNumber", "0x2", False)["transactions"][0]).status == 1


def test_the_stand_in_is_reproducible_and_tells_requests_apart(farm, fork):
    one = request(fork, farm)
    key, _ = fork.impersonator(farm.owner)
    assert key.sign(one) == key.sign(one)
    assert stand_in(one) != stand_in(request(fork, farm, gas=400_001))


def test_it_fits_the_ports(farm, fork):
    key, submitter = fork.impersonator(farm.owner)
    assert isinstance(fork.chain, Chain)
    assert isinstance(key, KeySigner)
    assert isinstance(submitter, Submitter)
    with pytest.raises(KeyUnavailable):
        key.sign(request(fork, farm, sender=Address("0x" + "99" * 20)))


@pytest.mark.parametrize("seconds", [1, 11, 3_600, 30 * 86_400])
def test_warp_passes_exactly_that_time_and_rewards_accrue(farm, fork, seconds):
    def earned() -> int:
        return EARNED.value(fork.chain.read([EARNED.read(farm.farm, farm.owner)], fork.chain.head())[0])

    before, had = fork.chain.head(), earned()
    fork.warp(seconds)
    after = fork.chain.head()
    assert seconds <= after.timestamp - before.timestamp <= seconds + 2
    assert after.number - before.number == max(1, min(seconds // 12, 250))
    assert earned() > had


def test_gas_money_is_given_only_when_asked(farm, fork):
    poor = Address("0x" + "77" * 20)
    key, submitter = fork.impersonator(poor)
    send = request(fork, farm, sender=poor, nonce=0, to=poor, data=b"", gas=21_000)
    outcome, words = submitter.submit(key.sign(send))
    assert outcome is Submission.REFUSED
    assert "nsufficient funds" in words
    assert fork.chain.balance(poor) == 0
    fork.fund(poor)
    assert submitter.submit(key.sign(send))[0] is Submission.ACCEPTED


def test_a_fork_at_a_block(farm, origin, anvil_path):
    with open_fork(origin.url, make_facts(), block=8, binary=anvil_path) as earlier:
        assert earlier.chain.head().number == 8


def test_simulation_and_reads_work_on_the_fork(farm, fork):
    simulation = fork.chain.simulate(farm.owner, farm.calls(0)[:1], [farm.reward])
    assert simulation.method == "eth_simulateV1"
    assert simulation.delta(farm.reward) > 0
    assert BALANCE_OF.value(fork.chain.read([BALANCE_OF.read(farm.reward, farm.owner)], fork.chain.head())[0]) > 0


def test_a_wrong_origin_is_refused_before_anything_starts(origin, anvil_path):
    with pytest.raises(IntegrityError, match="31337"):
        open_fork(origin.url, make_facts(chain_id=1), binary=anvil_path)
    with pytest.raises(ConfigError):
        open_fork("nonsense", make_facts(), binary=anvil_path)


def test_signed_values_are_plain(farm, fork):
    key, _ = fork.impersonator(farm.owner)
    signed = key.sign(request(fork, farm))
    assert isinstance(signed, SignedTx)
    assert len(signed.hash) == 66
