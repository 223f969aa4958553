"""Whatever at most one of two or three endpoints says: nothing is believed that no honest endpoint said."""

from collections import Counter
from contextlib import suppress
from random import Random

from chain_fakes import ME, READ, TOKEN, Fake, Ledger, block_hash, chain_of, tx_hash
from chain_kit import make_facts
from hypothesis import given
from hypothesis import strategies as st

from keeper.chain.receipts import parse_receipt
from keeper.domain.plan import Call, LegKind
from keeper.errors import KeeperError, RateLimited, RpcRejected, RpcUnavailable

CALLS = [Call(LegKind.CLAIM, "claim", TOKEN, b"\xaa\xbb\xcc\xdd")]
NAMES = ["a", "b", "c"]

RUBBISH = [None, "", "0x", "zz", {}, [], 0, True, "0x" + "ff" * 32]
ERRORS = [RpcRejected("no"), RateLimited("slow down"), RpcUnavailable("gone")]
NUMBERS = [0, 1, 2, 3, 80, 90, 95, 99, 100, 101, 10**6, 10**30]


class Liar:
    """Says the truth, nonsense, or the truth with a part replaced; reproducibly, whichever thread asks."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.asked: Counter[str] = Counter()

    def __call__(self, method, params, honest):
        question = f"{self.seed} {method} {params}"
        self.asked[question] += 1
        return self.instead(Random(f"{question} {self.asked[question]}"), honest)

    def instead(self, chance, honest, depth=0):
        kind = chance.randrange(10)
        if kind < 3:
            return honest
        if kind == 3:
            return chance.choice(RUBBISH if depth else RUBBISH + ERRORS)
        if isinstance(honest, dict):
            key = chance.choice(sorted(honest))
            return honest | {key: self.instead(chance, honest[key], depth + 1)}
        if isinstance(honest, list):
            return [self.instead(chance, item, depth + 1) for item in honest]
        if isinstance(honest, str) and len(honest) == 66:
            return block_hash(chance.choice([*range(85, 102)]), chance.choice(["", "lie"]))
        return hex(chance.choice(NUMBERS))


@st.composite
def worlds(draw):
    """A chain, and two or three endpoints of it, at most one of which lies."""
    ledger = Ledger(pending=draw(st.integers(0, 2)))
    for name, height in zip(NAMES, sorted(draw(st.sets(st.integers(85, 100), max_size=3))), strict=False):
        ledger.mine(name, height, status=hex(draw(st.integers(0, 1))))
    count = draw(st.integers(2, 3))
    fakes = [Fake(ledger, name, behind=draw(st.integers(0, 2))) for name in NAMES[:count]]
    liar = draw(st.integers(-1, count - 1))
    if liar >= 0:
        fakes[liar].lie = Liar(draw(st.integers(0, 2**32)))
    honest = [fake for fake in fakes if fake.lie is None]
    return ledger, fakes, honest


FACTS = make_facts(multicall3=None, finality_tag=True)


@given(worlds(), st.sets(st.integers(80, 101), max_size=3))
def test_a_look_says_nothing_that_no_honest_endpoint_said(world, heights):
    ledger, fakes, honest = world
    chain = chain_of(fakes, FACTS, block_seconds=12.0)
    wanted = [tx_hash(name) for name in [*NAMES, "never"]]
    try:
        sight = chain.sight(ME, wanted, sorted(heights))
    except KeeperError:
        return
    finally:
        chain.close()
    heads = [ledger.head - fake.behind for fake in honest]
    assert sight.head.hash == block_hash(sight.head.number)
    assert sight.head.timestamp == 1_700_000_000 + sight.head.number
    assert sight.head.number <= max(heads)
    assert sight.finalized is None or sight.finalized <= ledger.finalized
    for key, found in sight.receipts.items():
        assert found == parse_receipt(ledger.receipts[key], key)
        assert found.block_number <= max(heads)
        assert sight.canonical[found.block_number] == found.block_hash
    for height, said in sight.canonical.items():
        assert said == block_hash(height)
    counts = [sum(mined <= head for mined in ledger.mined) for head in heads]
    assert sight.nonces.latest <= max(counts), "no nonce is used that no honest endpoint saw used"
    assert sight.nonces.pending >= min(counts) + ledger.pending, "no pending transaction is hidden"


@given(worlds(), st.integers(0, 3))
def test_no_nonce_proof_is_made_up(world, nonce):
    ledger, fakes, _ = world
    chain = chain_of(fakes, FACTS, block_seconds=12.0)
    with suppress(KeeperError):
        proof = chain.used_by(ME, nonce)
        if proof is not None:
            found, height = proof
            assert ledger.mined[nonce] == height
            assert int(ledger.receipts[found]["blockNumber"], 16) == height
    chain.close()


@given(worlds())
def test_agreed_answers_are_the_honest_ones(world):
    ledger, fakes, honest = world
    chain = chain_of(fakes, FACTS, block_seconds=12.0)
    agreed = chain.agreed()
    top = max(ledger.head - fake.behind for fake in honest)
    with suppress(KeeperError):
        head = agreed.head()
        assert head.hash == block_hash(head.number)
        assert head.number <= top
        with suppress(KeeperError):
            results = agreed.read([READ], head)
            assert not results[0].success or int.from_bytes(results[0].data, "big") == ledger.value
        with suppress(KeeperError):
            simulation = agreed.simulate(ME, CALLS, [TOKEN], head)
            assert simulation.success
            assert simulation.delta(TOKEN) == ledger.value
            assert ledger.gas <= simulation.gas_used <= 2 * ledger.gas + 100_000
    with suppress(KeeperError):
        quote = agreed.fees()
        assert ledger.base_fee <= quote.base_fee_wei <= 2 * ledger.base_fee + FACTS.tip_cap_wei
        assert FACTS.tip_floor_wei <= quote.tip_wei <= ledger.tip
    with suppress(KeeperError):
        assert agreed.balance(ME) == 10**18
    for name in NAMES:
        with suppress(KeeperError):
            found = agreed.receipt(tx_hash(name))
            assert found is None or found == parse_receipt(ledger.receipts[tx_hash(name)], tx_hash(name))
    for number in (90, 98, 105):
        with suppress(KeeperError):
            block = agreed.block(number)
            assert block is None or block.hash == block_hash(number)
    chain.close()


@given(worlds())
def test_with_three_one_liar_stops_nothing(world):
    """Two honest endpoints at the same height are enough, whatever the third says or withholds."""
    ledger, fakes, _ = world
    if len(fakes) < 3:
        return
    for fake in fakes:
        fake.behind = 0
    chain = chain_of(fakes, FACTS, block_seconds=12.0)
    sight = chain.sight(ME, [*ledger.receipts], [90])
    assert set(sight.receipts) == set(ledger.receipts)
    assert sight.canonical[90] == block_hash(90)
    agreed = chain.agreed()
    assert agreed.head().number in range(97, 101)
    assert agreed.read([READ], agreed.head())[0].data == ledger.value.to_bytes(32, "big")
    for nonce, height in enumerate(ledger.mined):
        proof = chain.used_by(ME, nonce)
        assert proof is not None
        assert proof[1] == height
    chain.close()
