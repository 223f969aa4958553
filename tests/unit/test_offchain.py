"""What comes from outside the chain: real answers are understood, hostile ones change nothing and hold nobody up."""

from __future__ import annotations

import socket
import threading
import time
from decimal import Decimal

import pytest
from adapter_kit import OWNER, STRANGER, addr
from hypothesis import given
from hypothesis import strategies as st
from web_kit import web

from keeper.domain.drops import Drop, parse_drops
from keeper.domain.money import WAD, Token
from keeper.domain.valuation import PriceProblem, Quote, TokenPrice
from keeper.offchain.drops import DropShelf
from keeper.offchain.fetch import Unfetched, get_json
from keeper.offchain.prices import SERVICES, OutsidePrices
from keeper.offchain.watch import Watch
from keeper.strategy.prices import bounded

NOW = 1_700_000_000
NODE = "0x" + "ab" * 32
WETH = Token("ethereum", addr(1), "WETH", 18)
UNI = Token("ethereum", addr(2), "UNI", 18)


@pytest.fixture
def site():
    with web() as running:
        yield running


# ------------------------------------------------------------------ fetching


def test_document_is_read_from_the_web_and_from_a_file(site, tmp_path):
    site.body = b'{"a": [1, 2.5]}'
    file = tmp_path / "x.json"
    file.write_bytes(site.body)

    assert get_json(f"{site.url}/x?y=1", {"X-Key": "k"}) == get_json(str(file)) == {"a": [1, Decimal("2.5")]}
    assert site.asked[0][0] == "/x?y=1"
    assert site.asked[0][1]["X-Key"] == "k"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no JSON"),
        (b"<html>", "no JSON"),
        (b"\xff\xfe\x00", "no JSON"),
        (b'{"a": NaN}', "no JSON"),
        (b'{"a": 1e99999999999999999999}', "no JSON"),
        (b"[" * 60_000, "no JSON|nested"),
        (b"[" * 40 + b"]" * 40, "nested deeper"),
        (b"1" * 5_000, "no JSON"),
        (b" " * 70_000 + b"{}", "more than 65000 bytes"),
    ],
)
def test_hostile_documents_are_refused(site, body, words):
    site.body = body
    with pytest.raises(Unfetched, match=words):
        get_json(f"{site.url}/secret-key", max_bytes=65_000)


@pytest.mark.parametrize("status", [204, 301, 302, 401, 404, 429, 500])
def test_only_an_answer_is_an_answer_and_redirects_lead_nowhere(site, status):
    site.status, site.headers = status, {"Location": "http://169.254.169.254/"}
    with pytest.raises(Unfetched, match=f"127.0.0.1 answers status {status}"):
        get_json(f"{site.url}/secret-key")
    assert len(site.asked) == 1


def test_dripping_server_is_given_up_in_time(site):
    site.body, site.drip = b"{" + b" " * 10_000, 0.05
    started = time.monotonic()
    with pytest.raises(Unfetched, match=r"127\.0\.0\.1 (is too slow|cannot be asked)"):
        get_json(site.url, seconds=0.6)
    assert time.monotonic() - started < 3


def test_silent_and_absent_servers_are_given_up_and_no_key_is_told():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(Unfetched, match="cannot be asked") as told:
            get_json(f"http://127.0.0.1:{port}/secret-key", seconds=0.3)
    assert "secret" not in str(told.value)
    with pytest.raises(Unfetched, match="cannot be asked"):
        get_json(f"http://127.0.0.1:{port}/secret-key")
    with pytest.raises(Unfetched):
        get_json("http:///nowhere")
    with pytest.raises(Unfetched):
        get_json("http://127.0.0.1:99999/")


def test_missing_and_long_files_are_named(tmp_path):
    with pytest.raises(Unfetched, match="cannot be read"):
        get_json(str(tmp_path / "none.json"))
    (tmp_path / "long.json").write_text('"' + "x" * 100 + '"')
    with pytest.raises(Unfetched, match="longer than 50 bytes"):
        get_json(str(tmp_path / "long.json"), max_bytes=50)


def test_watch_looks_at_once_again_and_no_more():
    seen = threading.Semaphore(0)
    watch = Watch("test", seen.release, 3_600)
    watch.start(5)
    assert seen.acquire(timeout=5)
    watch.hurry()
    assert seen.acquire(timeout=5)
    watch.close()
    watch._thread.join(5)
    assert not watch._thread.is_alive()


def test_watch_does_not_wait_for_a_slow_look():
    slow = threading.Event()
    watch = Watch("test", lambda: slow.wait(30) and None, 3_600)
    started = time.monotonic()
    watch.start(0.1)
    assert time.monotonic() - started < 5
    watch.close()
    slow.set()


# ------------------------------------------------------------------ drops


def merkl(**changes) -> list:
    """As Merkl's /v4/users/ADDRESS/rewards answers (shortened)."""
    reward = {
        "root": NODE,
        "distributionChainId": 1,
        "recipient": OWNER,
        "amount": "14172098606012883675",
        "claimed": "10951906851596507470",
        "pending": "4273406001446877",
        "proofs": [NODE, NODE],
        "token": {"address": UNI.address, "chainId": 1, "symbol": "UNI", "decimals": 18, "price": 5.2},
        "breakdowns": [],
    }
    return [{"chain": {"id": 1, "name": "Ethereum"}, "rewards": [reward | changes]}]


def test_both_forms_of_drops_are_understood():
    drop = Drop(UNI.address, 14172098606012883675, (int(NODE, 16),) * 2)
    plain = {UNI.address: {"amount": "14172098606012883675", "proof": [NODE, NODE]}}
    older = {UNI.address: {"accumulated": 14172098606012883675, "unclaimed": 1, "proof": [NODE, NODE]}}

    for document in (merkl(), plain, older):
        assert parse_drops(document, OWNER, 1) == {UNI.address: (drop,)}


def test_drops_of_others_and_of_other_chains_are_left_out():
    assert parse_drops(merkl(recipient=STRANGER), OWNER, 1) == {}
    assert parse_drops(merkl(distributionChainId=10), OWNER, 1) == {}
    assert parse_drops(merkl(proofs=[]), OWNER, 1) == {}, "no proof yet: it is only announced"
    assert parse_drops([], OWNER, 1) == {}


@pytest.mark.parametrize(
    "document",
    [
        None,
        7,
        "x",
        [7],
        [{}],
        [{"rewards": 7}],
        [{"rewards": [7]}],
        merkl(token=None),
        merkl(token={"address": "0x12"}),
        merkl(amount="-1"),
        merkl(amount="1.5"),
        merkl(amount=True),
        merkl(amount=Decimal("1.5")),
        merkl(amount=str(2**128)),
        merkl(amount="9" * 10_000),
        merkl(amount="\u0661"),
        merkl(proofs="0x"),
        merkl(proofs=[NODE] * 33),
        merkl(proofs=["0x12"]),
        merkl(proofs=[7]),
        merkl(proofs=[NODE[:-2] + "  "]),
        {UNI.address: 7},
        {UNI.address: {"amount": "1"}},
        {"not an address": {"amount": "1", "proof": []}},
        {f"0x{n:040x}": {"amount": "1", "proof": []} for n in range(2_001)},
    ],
)
def test_drops_of_another_shape_are_refused_as_a_whole(document):
    with pytest.raises(ValueError, match=r".+"):
        parse_drops(document, OWNER, 1)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_document_is_drops_or_a_worded_mistake(document):
    try:
        found = parse_drops(document, OWNER, 1)
    except ValueError:
        return
    assert all(0 <= drop.amount < 2**128 for drops in found.values() for drop in drops)


def test_shelf_keeps_what_it_knew_and_tells_once(site):
    told: list[str] = []
    source = f"{site.url}/v4/users/{{owner}}/rewards?chainId={{chain_id}}"
    shelf = DropShelf([(source, OWNER, 1), (source, OWNER, 1)], told.append)
    assert shelf.drops(source, OWNER, 1).problem == "no proofs have come yet"

    site.body = merkl()
    shelf.look()
    assert [path for path, _ in site.asked] == [f"/v4/users/{OWNER}/rewards?chainId=1"]
    known = shelf.drops(source, OWNER, 1)
    assert (known.by_token[UNI.address][0].amount, known.problem) == (14172098606012883675, "")

    site.status = 500
    shelf.look()
    shelf.look()
    site.status, site.body = 200, {"hello": 1}
    shelf.look()
    away = shelf.drops(source, OWNER, 1)
    assert away.by_token == known.by_token
    assert "something else than drops" in away.problem
    assert told == ["proofs: 127.0.0.1 answers status 500"]

    site.body = merkl(amount="20000000000000000000")
    shelf.look()
    newest = shelf.drops(source, OWNER, 1)
    assert newest.problem == ""
    assert [drop.amount for drop in newest.by_token[UNI.address]] == [2 * 10**19, 14172098606012883675]
    for amount in range(10):
        site.body = merkl(amount=str(amount))
        shelf.look()
    assert [drop.amount for drop in shelf.drops(source, OWNER, 1).by_token[UNI.address]] == [9, 8, 7, 6]


# ------------------------------------------------------------------ prices


def llama(price=3_000.5, *, at=NOW, **changes) -> dict:
    """As DefiLlama's /prices/current answers."""
    coin = {"decimals": 18, "symbol": "WETH", "price": price, "timestamp": at, "confidence": 0.99}
    return {"coins": {f"ethereum:{WETH.address}": coin | changes}}


def outside(site, kind="defillama", **changes):
    told: list[str] = []
    clock = [NOW]
    arguments = {"poll_seconds": 600, "url": site.url, "now": lambda: clock[0], "tell": told.append} | changes
    prices = OutsidePrices(SERVICES[kind], {"ethereum": "ethereum"}, **arguments)
    prices.want("ethereum", [WETH.address])
    return prices, told, clock


def test_prices_of_defillama(site):
    site.body = llama()
    prices, told, _ = outside(site)
    assert prices.price(WETH) is None

    prices.look()

    assert prices.price(WETH) == Quote(WETH, 3_000 * WAD + WAD // 2, "DefiLlama", NOW)
    assert site.asked[0][0] == f"/prices/current/ethereum:{WETH.address}?searchWidth=2h"
    assert told == []


def test_prices_of_coingecko_with_a_key(site):
    site.body = {WETH.address: {"usd": 3000, "last_updated_at": NOW - 60}}
    prices, _, _ = outside(site, "coingecko", key="CG-secret", url=f"{site.url}/api/v3/")

    prices.look()

    assert prices.price(WETH) == Quote(WETH, 3_000 * WAD, "CoinGecko", NOW - 60)
    path, headers = site.asked[0]
    assert path == (
        f"/api/v3/simple/token_price/ethereum?contract_addresses={WETH.address}"
        "&vs_currencies=usd&include_last_updated_at=true"
    )
    assert headers["x-cg-demo-api-key"] == "CG-secret"
    assert SERVICES["coingecko"].key_header("https://pro-api.coingecko.com/api/v3") == "x-cg-pro-api-key"


@pytest.mark.parametrize(
    "body",
    [
        llama(price=-1),
        llama(price=0),
        llama(price=True),
        llama(price="3000"),
        llama(price=None),
        llama(price=[3_000]),
        b'{"coins": {"ethereum:%s": {"price": 1e400, "timestamp": 1700000000}}}' % WETH.address.encode(),
        b'{"coins": {"ethereum:%s": {"price": 1e-400, "timestamp": 1700000000}}}' % WETH.address.encode(),
        b'{"coins": {"ethereum:%s": {"price": 1e999999, "timestamp": 1700000000}}}' % WETH.address.encode(),
        llama(at=NOW - 7 * 86_400),
        llama(at=NOW + 86_400),
        llama(at="now"),
        llama(at=None),
        llama(confidence=0.1),
        llama(confidence="sure"),
        {"coins": {f"bsc:{WETH.address}": llama()["coins"][f"ethereum:{WETH.address}"]}},
        {"coins": {f"ethereum:{UNI.address}": {"price": 1, "timestamp": NOW}}},
        {"coins": {"ethereum:nothing": {"price": 1, "timestamp": NOW}}},
        {"coins": 7},
        {"coins": {f"ethereum:{WETH.address}": 7}},
        [],
        7,
        b"oops",
        b" " * 600_000,
    ],
)
def test_hostile_prices_are_none(site, body):
    site.body = body
    prices, _, _ = outside(site)
    prices.look()
    assert prices.price(WETH) is None


def test_price_is_kept_while_the_web_is_away_until_it_is_too_old_and_told_once(site):
    site.body = llama()
    prices, told, clock = outside(site)
    prices.look()
    site.status = 503
    for _ in range(3):
        prices.look()
    assert prices.price(WETH) is not None
    assert told == ["prices are not checked by DefiLlama: 127.0.0.1 answers status 503"]

    clock[0] += 1_801
    assert prices.price(WETH) is None
    site.status, site.body = 200, llama(at=clock[0])
    prices.look()
    assert prices.price(WETH) is not None
    site.status = 503
    prices.look()
    assert len(told) == 2


def test_tokens_are_asked_in_batches_and_new_ones_are_taken_up(site):
    prices, _, _ = outside(site)
    prices.want("ethereum", [addr(n) for n in range(100, 220)])
    prices.want("elsewhere", [addr(1)])
    assert prices.price(UNI) is None
    prices.look()

    sizes = [path.count("ethereum:") for path, _ in site.asked]
    assert sizes == [60, 60, 2]
    assert UNI.address in site.asked[-1][0]


def test_number_of_tokens_is_bounded(site):
    prices, _, _ = outside(site)
    prices.want("ethereum", [addr(n) for n in range(10, 5_000)])
    prices.look()
    assert sum(path.count("ethereum:") for path, _ in site.asked) == 2_000


# ------------------------------------------------------------------ the bound


def agreed(low: int, high: int) -> TokenPrice:
    return TokenPrice(WETH, low * WAD, high * WAD, ())


def web_price(dollars: int) -> Quote:
    return Quote(WETH, dollars * WAD, "DefiLlama", NOW)


def test_price_far_from_the_webs_is_none_and_says_both():
    problem = bounded(agreed(3_290, 3_310), web_price(3_000), max_deviation_bps=1_000)
    assert isinstance(problem, PriceProblem)
    assert problem.kind == "disagree"
    assert "$3,300.00 by the configured sources" in problem.text
    assert "$3,000.00 by DefiLlama" in problem.text
    assert "1033 basis points" in problem.text


@pytest.mark.parametrize("price", [agreed(3_300, 3_300), agreed(2_700, 3_300), agreed(3_000, 3_000)])
def test_price_within_the_bound_is_as_it_was(price):
    assert bounded(price, web_price(3_000), max_deviation_bps=1_000) is price


def test_without_a_price_from_the_web_nothing_changes():
    assert bounded(agreed(1, 1), None, max_deviation_bps=1) == agreed(1, 1)


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(10, 9_000))
def test_bound_is_what_it_says(own, there, bps):
    kept = bounded(agreed(own, own), web_price(there), max_deviation_bps=bps)
    assert isinstance(kept, TokenPrice) is (abs(own - there) * WAD * 10_000 // (there * WAD) <= bps)
