"""Agreement: what one lying, lagging or dead endpoint of two or three can and cannot bring about."""

import pytest
from chain_fakes import ME, READ, TOKEN, Fake, Ledger, block_hash, chain_of, receipt, tx_hash
from chain_kit import Events, make_facts

from keeper.domain.plan import Call, LegKind
from keeper.domain.reads import ReadResult
from keeper.errors import Disagreement, RateLimited, RpcRejected, RpcUnavailable
from keeper.ports import Chain

CALLS = [Call(LegKind.CLAIM, "claim", TOKEN, b"\xaa\xbb\xcc\xdd")]


@pytest.fixture
def ledger():
    made = Ledger()
    made.mine("a", 90)
    made.mine("b", 95)
    return made


def lying(method, change):
    """A lie about one method: ``change(params, honest)``."""
    return lambda asked, params, honest: change(params, honest) if asked == method else honest


def altered(**changes):
    return lying("eth_getTransactionReceipt", lambda _p, honest: honest and honest | changes)


def endpoints(ledger, count=2, **options):
    return [Fake(ledger, name, **(options if name == "a" else {})) for name in "abc"[:count]]


HASHES = [tx_hash("a"), tx_hash("b"), tx_hash("unknown")]


# ---------------------------------------------------------------------------- one, and two that agree


def test_one_endpoint_is_believed_and_asked_once(ledger):
    (fake,) = endpoints(ledger, 1)
    chain = chain_of([fake])
    assert chain.agreed() is chain
    sight = chain.sight(ME, HASHES, [80])
    assert set(sight.receipts) == {tx_hash("a"), tx_hash("b")}
    assert fake.requests == 3, "chain id, one batch, one for the receipts' blocks"


def test_the_agreed_view_is_a_chain_and_its_own_agreed_view(ledger):
    chain = chain_of(endpoints(ledger))
    assert isinstance(chain.agreed(), Chain)
    assert chain.agreed().agreed() is chain.agreed()


def test_a_sight_takes_one_request_of_each_endpoint(ledger):
    fakes = endpoints(ledger, 3)
    chain = chain_of(fakes)
    sight = chain.sight(ME, HASHES, [80, 90, 95, 101])
    assert [fake.requests for fake in fakes] == [2, 2, 1], "chain id, and one batch of two of them"
    assert sight.head.number == 100
    assert sight.nonces.latest == sight.nonces.pending == 2
    assert sight.receipts[tx_hash("a")].block_number == 90
    assert sight.canonical == {number: block_hash(number) for number in (80, 90, 95, 100)}


def test_finality_is_asked_only_where_the_chain_has_the_tag(ledger):
    fakes = endpoints(ledger)
    assert chain_of(fakes).sight(ME, []).finalized is None
    chain = chain_of(fakes, make_facts(multicall3=None, finality_tag=True))
    assert chain.sight(ME, []).finalized == 60
    fakes[0].lie = lying("eth_getBlockByNumber", lambda p, honest: None if p[0] == "finalized" else honest)
    assert chain.sight(ME, []).finalized is None, "named by one only"


def test_no_lie_makes_a_block_final(ledger):
    high = {"number": "0x63", "hash": block_hash(99), "timestamp": "0x1"}
    fakes = endpoints(
        ledger, lie=lying("eth_getBlockByNumber", lambda p, honest: high if p[0] == "finalized" else honest)
    )
    chain = chain_of(fakes, make_facts(multicall3=None, finality_tag=True))
    assert chain.sight(ME, []).finalized == 60


def test_every_question_of_the_agreed_view_is_answered(ledger):
    agreed = chain_of(endpoints(ledger)).agreed()
    head = agreed.head()
    assert head.number == 100
    assert agreed.block(90).hash == block_hash(90)
    assert agreed.block(101) is None
    assert agreed.read([READ, READ], head) == [ReadResult(True, (7).to_bytes(32, "big"))] * 2
    assert agreed.fees().base_fee_wei == ledger.base_fee
    assert agreed.simulate(ME, CALLS, [TOKEN]).delta(TOKEN) == 7
    assert agreed.l1_fee_wei(b"") == 0
    assert agreed.nonces(ME).latest == 2
    assert agreed.used_by(ME, 1) == (tx_hash("b"), 95)
    assert agreed.used_by(ME, 2) is None
    assert agreed.balance(ME) == 10**18
    assert agreed.receipt(tx_hash("a")).status == 1
    assert agreed.receipt(tx_hash("unknown")) is None


# ---------------------------------------------------------------------------- lies, one of two

LIES = {
    "status": altered(status="0x0"),
    "gas": altered(gasUsed="0x1"),
    "price": altered(effectiveGasPrice="0x1"),
    "block": altered(blockHash=block_hash(90, "made up")),
    "logs": altered(
        logs=[
            {
                "address": TOKEN,
                "topics": [
                    "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
                    "0x" + "00" * 12 + "33" * 20,
                    "0x" + "00" * 12 + ME[2:],
                ],
                "data": "0x" + "ff" * 32,
                "logIndex": "0x0",
            }
        ]
    ),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
@pytest.mark.parametrize("place", [0, 1])
def test_two_receipts_that_contradict_each_other_settle_nothing_and_are_told_once(ledger, lie, place):
    fakes = endpoints(ledger)
    fakes[place].lie = lie
    events = Events()
    chain = chain_of(fakes, events=events)
    for _ in range(3):
        with pytest.raises(Disagreement, match="contradict each other about the receipt of transaction 0x") as caught:
            chain.sight(ME, [tx_hash("a")])
    assert all(fake.redacted in str(caught.value) for fake in fakes)
    assert events.names == ["rpc.disagreed"]
    assert {events.seen[0].fields["endpoint"], events.seen[0].fields["other"]} == {fake.redacted for fake in fakes}
    fakes[place].lie = None
    assert chain.sight(ME, [tx_hash("a")]).receipts
    fakes[place].lie = lie
    with pytest.raises(Disagreement):
        chain.sight(ME, [tx_hash("a")])
    assert events.names == ["rpc.disagreed"] * 2, "it is told again when it begins again"
    with pytest.raises(Disagreement):
        chain.agreed().receipt(tx_hash("a"))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_of_three_the_majority_decides_and_the_liar_is_named_and_asked_last(ledger, lie, place):
    fakes = endpoints(ledger, 3)
    fakes[place].lie = lie
    events = Events()
    chain = chain_of(fakes, events=events)
    for _ in range(3):
        sight = chain.sight(ME, [tx_hash("a")], [90])
        assert sight.receipts[tx_hash("a")].status == 1
        assert sight.receipts[tx_hash("a")].block_hash == sight.canonical[90] == block_hash(90)
    asked = [fake.items["eth_getTransactionReceipt"] for fake in fakes]
    if place == 2:
        assert events.names == []
        assert asked == [3, 3, 0]
    else:
        assert events.names == ["rpc.disagreed"]
        assert events.seen[0].fields["endpoint"] == fakes[place].redacted
        assert asked[place] == 1, "asked last since"


def test_a_receipt_that_only_one_of_two_has_is_missing(ledger):
    made_up = receipt("unknown", 99)
    fakes = endpoints(
        ledger, lie=lying("eth_getTransactionReceipt", lambda p, honest: made_up if p[0] == HASHES[2] else honest)
    )
    events = Events()
    sight = chain_of(fakes, events=events).sight(ME, HASHES)
    assert set(sight.receipts) == {tx_hash("a"), tx_hash("b")}
    assert events.names == []


def test_a_receipt_that_one_of_three_withholds_is_found(ledger):
    fakes = endpoints(ledger, 3, lie=lying("eth_getTransactionReceipt", lambda *_: None))
    assert set(chain_of(fakes).sight(ME, HASHES).receipts) == {tx_hash("a"), tx_hash("b")}
    assert set(chain_of(fakes[:2]).sight(ME, HASHES).receipts) == set()


def test_a_node_that_still_indexes_makes_a_receipt_missing_not_the_look_fail(ledger):
    busy = RpcRejected("transaction indexing is in progress", code=-32000)
    fakes = endpoints(ledger, lie=lying("eth_getTransactionReceipt", lambda *_: busy))
    assert chain_of(fakes).sight(ME, HASHES).receipts == {}
    assert chain_of(fakes[:1]).sight(ME, HASHES).head.number == 100


def test_a_rate_limited_item_is_not_taken_for_an_answer(ledger):
    fakes = endpoints(ledger, lie=lying("eth_getTransactionReceipt", lambda *_: RateLimited("slow down")))
    with pytest.raises(Disagreement, match="1 of 2"):
        chain_of(fakes).sight(ME, HASHES)


def test_a_false_block_hash_settles_no_reorg(ledger):
    fakes = endpoints(
        ledger,
        lie=lying("eth_getBlockByNumber", lambda p, h: h | {"hash": block_hash(90, "x")} if p[0] == "0x5a" else h),
    )
    events = Events()
    sight = chain_of(fakes, events=events).sight(ME, [tx_hash("a"), tx_hash("b")], [90])
    assert 90 not in sight.canonical
    assert set(sight.receipts) == {tx_hash("b")}, "one in a block of unknown standing is missing"
    assert events.names == ["rpc.disagreed"]
    assert events.seen[0].fields["about"] == "block 90"


def test_a_false_block_hash_of_one_of_three_is_outvoted(ledger):
    fakes = endpoints(
        ledger,
        3,
        lie=lying("eth_getBlockByNumber", lambda p, h: h | {"hash": block_hash(90, "x")} if p[0] == "0x5a" else h),
    )
    sight = chain_of(fakes).sight(ME, [tx_hash("a")], [90])
    assert sight.canonical[90] == block_hash(90)
    assert set(sight.receipts) == {tx_hash("a")}


@pytest.mark.parametrize(("said", "latest", "pending"), [(9, 2, 9), (0, 0, 2)])
def test_a_false_nonce_neither_settles_nor_hides_anything(ledger, said, latest, pending):
    fakes = endpoints(ledger, lie=lying("eth_getTransactionCount", lambda *_: hex(said)))
    chain = chain_of(fakes)
    assert chain.sight(ME, []).nonces.latest == latest
    assert chain.sight(ME, []).nonces.pending == pending
    assert chain.agreed().nonces(ME) == chain.sight(ME, []).nonces


def test_a_nonce_proof_that_one_made_up_is_none(ledger):
    other = "0x" + "ee" * 32

    def lie(method, params, honest):
        if method == "eth_getBlockByNumber" and params[1] and honest:
            return honest | {"transactions": [tx | {"hash": other} for tx in honest["transactions"]]}
        return honest

    for chain in (chain_of(endpoints(ledger, lie=lie)), chain_of(endpoints(ledger, lie=lie)).agreed()):
        with pytest.raises(Disagreement, match="who used nonce 1"):
            chain.used_by(ME, 1)
    assert chain_of(endpoints(ledger, 3, lie=lie)).used_by(ME, 1) == (tx_hash("b"), 95)
    ahead = lying("eth_getTransactionCount", lambda *_: "0x9")
    assert chain_of(endpoints(ledger, lie=ahead)).used_by(ME, 2) is None


def test_a_false_view_is_never_returned(ledger):
    fakes = endpoints(ledger, lie=lying("eth_call", lambda *_: "0x" + "ff" * 32))
    agreed = chain_of(fakes).agreed()
    with pytest.raises(Disagreement, match=f"a view of {TOKEN} at block 100"):
        agreed.read([READ], agreed.head())
    agreed = chain_of(endpoints(ledger, 3, lie=fakes[0].lie)).agreed()
    assert agreed.read([READ], agreed.head()) == [ReadResult(True, (7).to_bytes(32, "big"))]


def test_failed_views_agree_whatever_their_words(ledger):
    fakes = endpoints(ledger)
    for fake, data in zip(fakes, (b"\x01", b""), strict=True):
        fake.lie = lying("eth_call", lambda *_, data=data: RpcRejected("execution reverted", code=3, data=data))
    agreed = chain_of(fakes).agreed()
    assert agreed.read([READ], agreed.head()) == [ReadResult(False, b"")]


def test_fees_are_the_higher_base_and_the_lower_tip_and_absurd_ones_are_a_disagreement(ledger):
    def fees(base, tip):
        fee = hex(base)
        said = {"baseFeePerGas": [fee] * 3, "gasUsedRatio": [0.5] * 2, "reward": [[hex(tip)] * 2] * 2}
        return lying("eth_feeHistory", lambda *_: said)

    quote = chain_of(endpoints(ledger, lie=fees(2 * 10**9, 4 * 10**9))).agreed().fees()
    assert (quote.base_fee_wei, quote.tip_wei) == (2 * 10**9, 10**9)
    agreed = chain_of(endpoints(ledger, lie=fees(10**12, 1))).agreed()
    with pytest.raises(Disagreement, match=r"the base fee \(1,000,000,000,000 and 1,000,000,000\)"):
        agreed.fees()
    quote = chain_of(endpoints(ledger, 3, lie=fees(10**12, 1))).agreed().fees()
    assert quote.base_fee_wei == 10**9
    assert quote.tip_wei >= make_facts().tip_floor_wei


def test_simulations_must_move_the_same_balances(ledger):
    richer = Ledger(value=9)
    agreed = chain_of([Fake(ledger, "a"), Fake(richer, "b")]).agreed()
    with pytest.raises(Disagreement, match="what a plan would do"):
        agreed.simulate(ME, CALLS, [TOKEN])
    hungrier = Ledger(gas=70_000)
    agreed = chain_of([Fake(ledger, "a"), Fake(hungrier, "b")]).agreed()
    assert agreed.simulate(ME, CALLS, [TOKEN]).gas_used == 70_000
    absurd = Ledger(gas=10**9)
    with pytest.raises(Disagreement, match="the gas of a plan"):
        chain_of([Fake(ledger, "a"), Fake(absurd, "b")]).agreed().simulate(ME, CALLS, [TOKEN])


# ---------------------------------------------------------------------------- lagging, forked and dead


def test_heads_at_different_heights_give_the_lower_one(ledger):
    for chain in (chain_of(endpoints(ledger, behind=2)), chain_of(list(reversed(endpoints(ledger, behind=2))))):
        sight = chain.sight(ME, HASHES)
        assert sight.head.number == chain.agreed().head().number == 98
        assert sight.head.hash == sight.canonical[98] == block_hash(98)
        assert len(sight.receipts) == 2


def test_a_receipt_above_the_lower_head_is_missing_not_contradicted(ledger):
    ledger.mine("new", 100)
    sight = chain_of(endpoints(ledger, behind=2)).sight(ME, [tx_hash("new")])
    assert sight.receipts == {}


def test_forked_tips_give_the_newest_common_block(ledger):
    def forked(params, honest):
        number = int(honest["number"], 16) if honest else 0
        return honest | {"hash": block_hash(number, "fork")} if number > 98 else honest

    chain = chain_of(endpoints(ledger, lie=lying("eth_getBlockByNumber", forked)))
    assert chain.sight(ME, []).head.number == 98
    assert chain.agreed().head().number == 98


def test_chains_that_have_parted_are_a_disagreement(ledger):
    def forked(_params, honest):
        return honest and honest | {"hash": block_hash(int(honest["number"], 16), "fork")}

    events = Events()
    chain = chain_of(endpoints(ledger, lie=lying("eth_getBlockByNumber", forked)), events=events)
    with pytest.raises(Disagreement, match="block 100"):
        chain.sight(ME, [])
    with pytest.raises(Disagreement, match="blocks up to 100"):
        chain.agreed().head()
    assert events.names == ["rpc.disagreed"] * 2


@pytest.mark.parametrize("place", [0, 1])
def test_one_dead_of_two_is_a_disagreement_that_says_what_to_do(ledger, place):
    fakes = endpoints(ledger)
    fakes[place].down = RpcUnavailable("cannot be reached")
    chain = chain_of(fakes)
    for question in (
        lambda: chain.sight(ME, []),
        lambda: chain.used_by(ME, 0),
        lambda: chain.agreed().head(),
        lambda: chain.agreed().fees(),
        lambda: chain.agreed().read([READ], chain.head()),
    ):
        with pytest.raises(Disagreement, match=r"1 of 2 endpoints .*chains.local.quorum = 1 to trust a single one"):
            question()
    assert chain.head().number == 100, "what need not be agreed is still answered"


def test_one_dead_of_three_is_replaced(ledger):
    fakes = endpoints(ledger, 3)
    fakes[0].down = RpcUnavailable("cannot be reached")
    chain = chain_of(fakes)
    assert chain.sight(ME, HASHES).head.number == 100
    assert chain.agreed().head().number == 100


def test_all_dead_is_unavailable(ledger):
    fakes = endpoints(ledger)
    for fake in fakes:
        fake.down = RpcUnavailable("cannot be reached")
    with pytest.raises(RpcUnavailable):
        chain_of(fakes).sight(ME, [])


def test_what_all_refuse_is_refused_and_what_one_refuses_is_not_agreed(ledger):
    no = lying("eth_getBalance", lambda *_: RpcRejected("missing trie node", code=-32000))
    fakes = endpoints(ledger, lie=no)
    with pytest.raises(Disagreement):
        chain_of(fakes).agreed().balance(ME)
    fakes[1].lie = no
    with pytest.raises(RpcRejected):
        chain_of(fakes).agreed().balance(ME)


def test_three_may_have_to_agree(ledger):
    fakes = endpoints(ledger, 3)
    assert chain_of(fakes, quorum=3).sight(ME, HASHES).receipts
    fakes[2].lie = LIES["status"]
    with pytest.raises(Disagreement):
        chain_of(fakes, quorum=3).sight(ME, HASHES)
