"""Quotes of aggregators against a real server that speaks their forms: asked rightly, read strictly, never waited for."""

from __future__ import annotations

import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from web_kit import web

from keeper.domain.money import Address, Amount, Token
from keeper.offchain.fetch import Unfetched, get_json
from keeper.offchain.quote_forms import FORMS, Question
from keeper.offchain.quotes import OutsideQuotes
from keeper.ports import QuoteSource

OWNER = Address("0x" + "aa" * 20)
UNI = Token("ethereum", Address("0x" + "1f" * 20), "UNI", 18)
WETH = Token("ethereum", Address("0x" + "c0" * 20), "WETH", 18)
USDC = Token("ethereum", Address("0x" + "a0" * 20), "USDC", 6)
DAI = "0x" + "6B" * 20
SOLD = Amount(UNI, 10**20)
BOUGHT = 267_000_000


def zero_ex(**changes) -> dict:
    """As 0x's /swap/allowance-holder/price answers (shortened)."""
    return {
        "liquidityAvailable": True,
        "blockNumber": "20850142",
        "sellToken": UNI.address.upper().replace("0X", "0x"),
        "buyToken": USDC.address,
        "sellAmount": str(SOLD.raw),
        "buyAmount": str(BOUGHT),
        "minBuyAmount": str(BOUGHT * 99 // 100),
        "gas": "288079",
        "fees": {"integratorFee": None, "zeroExFee": None, "gasFee": None},
        "route": {
            "fills": [
                {"from": UNI.address, "to": WETH.address, "source": "Uniswap_V3", "proportionBps": "10000"},
                {"from": WETH.address, "to": DAI, "source": "Curve", "proportionBps": "4000"},
                {"from": WETH.address, "to": USDC.address, "source": "Uniswap_V3", "proportionBps": "6000"},
                {"from": DAI, "to": USDC.address, "source": "Maker", "proportionBps": "10000"},
            ],
            "tokens": [{"address": UNI.address, "symbol": "UNI"}],
        },
        "zid": "0x1",
    } | changes


def one_inch(**changes) -> dict:
    """As 1inch's /swap/v6.x/1/quote answers with tokens, protocols and gas (shortened)."""
    step = {"name": "UNISWAP_V3", "part": 100}
    return {
        "srcToken": {"address": UNI.address, "symbol": "UNI", "decimals": 18},
        "dstToken": {"address": USDC.address, "symbol": "USDC", "decimals": 6},
        "dstAmount": str(BOUGHT),
        "protocols": [
            [
                [step | {"fromTokenAddress": UNI.address, "toTokenAddress": WETH.address}],
                [step | {"fromTokenAddress": WETH.address, "toTokenAddress": DAI}],
                [step | {"fromTokenAddress": DAI, "toTokenAddress": USDC.address}],
            ]
        ],
        "gas": 288079,
    } | changes


def cow(outer: dict | None = None, **changes) -> dict:
    """As CoW's /api/v1/quote answers (shortened)."""
    quote = {
        "sellToken": UNI.address,
        "buyToken": USDC.address,
        "receiver": None,
        "sellAmount": str(SOLD.raw - 10**17),
        "feeAmount": str(10**17),
        "buyAmount": str(BOUGHT),
        "validTo": 1_700_000_000,
        "kind": "sell",
        "partiallyFillable": False,
    }
    return {"quote": quote | changes, "from": OWNER, "expiration": "x", "id": 7, "verified": True} | (outer or {})


ANSWERS = {"0x": zero_ex, "1inch": one_inch, "cow": cow}
NETWORKS = {"0x": "1", "1inch": "1", "cow": "mainnet"}


@pytest.fixture
def site():
    with web() as running:
        yield running


class Asking:
    """A source with a clock of its own, and what it told."""

    def __init__(self, site, kind="0x", **changes) -> None:
        self.told: list[str] = []
        self.now = 1_000.0
        arguments = {"timeout": 0.6, "url": site.url + "/", "key": "key-0123"} | changes
        self.source = OutsideQuotes(
            FORMS[kind],
            {"ethereum": NETWORKS[kind]},
            monotonic=lambda: self.now,
            tell=self.told.append,
            **arguments,
        )

    def __call__(self, sold: Amount = SOLD, *, wait: bool = True):
        return self.source.quote(OWNER, sold, USDC, wait=wait)


# ------------------------------------------------------------------ the three forms


@pytest.mark.parametrize("kind", FORMS)
def test_each_form_is_asked_and_understood(site, kind):
    site.body = ANSWERS[kind]()
    ask = Asking(site, kind)
    quote = ask()
    assert isinstance(ask.source, QuoteSource)
    assert quote is not None
    assert (quote.sold, quote.bought, quote.source) == (SOLD, Amount(USDC, BOUGHT), FORMS[kind].name)
    assert quote.via == (() if kind == "cow" else (WETH.address, DAI.lower()))
    assert quote.gas == (0 if kind == "cow" else 288079)
    assert ask.told == []


def test_0x_is_asked_by_its_published_parameters(site):
    site.body = zero_ex()
    Asking(site)()
    (path, headers), wanted = site.asked[0], parse_qs(urlsplit(site.asked[0][0]).query)
    assert urlsplit(path).path == "/swap/allowance-holder/price"
    assert wanted == {
        "chainId": ["1"],
        "sellToken": [UNI.address],
        "buyToken": [USDC.address],
        "sellAmount": [str(SOLD.raw)],
    }
    assert (headers["0x-api-key"], headers["0x-version"]) == ("key-0123", "v2")


def test_1inch_is_asked_by_its_published_parameters(site):
    site.body = one_inch()
    Asking(site, "1inch")()
    (path, headers), wanted = site.asked[0], parse_qs(urlsplit(site.asked[0][0]).query)
    assert urlsplit(path).path == "/1/quote"
    assert (wanted["src"], wanted["dst"], wanted["amount"]) == ([UNI.address], [USDC.address], [str(SOLD.raw)])
    assert wanted["includeTokensInfo"] == wanted["includeProtocols"] == wanted["includeGas"] == ["true"]
    assert headers["Authorization"] == "Bearer key-0123"


def test_cow_is_asked_by_its_published_parameters(site):
    site.body = cow()
    Asking(site, "cow", key=None)()
    assert site.asked[0][0] == "/mainnet/api/v1/quote"
    assert site.asked[0][1]["Content-Type"] == "application/json"
    assert site.posted == [
        {
            "kind": "sell",
            "sellToken": UNI.address,
            "buyToken": USDC.address,
            "sellAmountBeforeFee": str(SOLD.raw),
            "from": OWNER,
            "priceQuality": "optimal",
        }
    ]


def test_no_liquidity_is_an_answer_and_no_quote(site):
    site.body = {"liquidityAvailable": False, "zid": "0x1"}
    ask = Asking(site)
    assert ask() is None
    assert ask.told == []


# ------------------------------------------------------------------ hostile answers

HOSTILE = [
    *((kind, document) for kind in FORMS for document in (None, 7, "x", [], {}, {"quote": 7}, {"error": "no"})),
    *(
        (kind, ANSWERS[kind](**{key: value}))
        for kind, key in (("0x", "buyAmount"), ("1inch", "dstAmount"), ("cow", "buyAmount"))
        for value in (
            None,
            "",
            "-1",
            "0",
            "1.5",
            "1e9",
            "NaN",
            "Infinity",
            "0x10",
            " 1",
            "1_000",
            "\u0661",
            str(2**128),
            "9" * 5_000,
            BOUGHT,
            1.5,
            True,
            [str(BOUGHT)],
        )
    ),
    ("0x", zero_ex(sellToken=WETH.address)),
    ("0x", zero_ex(buyToken=WETH.address)),
    ("0x", zero_ex(buyToken=None)),
    ("0x", zero_ex(sellAmount=str(SOLD.raw - 1))),
    ("0x", zero_ex(liquidityAvailable="yes")),
    ("0x", zero_ex(route=[])),
    ("1inch", one_inch(srcToken={"address": WETH.address})),
    ("1inch", one_inch(dstToken={"address": WETH.address})),
    ("1inch", one_inch(dstToken=USDC.address)),
    ("1inch", one_inch(srcToken=None)),
    ("cow", cow(sellToken=WETH.address)),
    ("cow", cow(buyToken=WETH.address)),
    ("cow", cow(kind="buy")),
    ("cow", cow(feeAmount="0")),
    ("cow", cow(feeAmount="-1")),
    ("cow", cow(sellAmount=str(SOLD.raw))),
]


@pytest.mark.parametrize(("kind", "document"), HOSTILE)
def test_answers_that_are_no_quote_of_this_sale_count_for_nothing_and_are_told_once(site, kind, document):
    site.body = document
    ask = Asking(site, kind)
    assert ask() is None
    assert ask() is None
    (told,) = ask.told
    assert told.startswith(f"quotes: {FORMS[kind].name} (UNI for USDC): answers something else")
    assert len(told) < 250


@pytest.mark.parametrize("body", [b'{"buyAmount": NaN}', b"<html>", b"[" * 60_000, b" " * 600_000 + b"{}", b""])
def test_answers_that_are_no_document_are_told_once(site, body):
    site.body = body
    ask = Asking(site)
    assert ask() is None
    assert len(ask.told) == 1


@pytest.mark.parametrize("kind", FORMS)
def test_redirect_to_another_host_leads_nowhere(site, kind):
    with web() as other:
        other.body = ANSWERS[kind]()
        site.status, site.headers = 307, {"Location": f"{other.url}/take-the-key"}
        ask = Asking(site, kind)
        assert ask() is None
        assert other.asked == []
    assert ask.told == [f"quotes: {FORMS[kind].name}: 127.0.0.1 answers status 307; harvests go on without it"]


@pytest.mark.parametrize("gas", [None, -1, "-1", 1.5, True, "many", "9" * 5_000, [], 10**30])
def test_nonsense_about_gas_and_route_only_loses_the_hint(site, gas):
    fills = [7, None, {"from": 7, "to": "0x12"}, {"from": "0x" + "ee" * 20, "to": "x" * 10**5}]
    site.body = zero_ex(gas=gas, route={"fills": fills})
    quote = Asking(site)()
    assert quote is not None
    assert (quote.gas, quote.via, quote.bought.raw) == (0, (), BOUGHT)


def test_route_of_thousands_of_tokens_is_cut_short(site):
    site.body = one_inch(protocols=[{"token": f"0x{n:040x}", "hops": [{"dst": DAI}]} for n in range(1, 3_000)])
    quote = Asking(site, "1inch")()
    assert quote is not None
    assert len(quote.via) == 4


@given(
    st.sampled_from(sorted(FORMS)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    ),
)
def test_any_document_is_a_quote_or_a_worded_mistake(kind, document):
    question = Question("1", OWNER, SOLD, USDC)
    for said in (document, {"quote": document}, ANSWERS[kind]() | (document if isinstance(document, dict) else {})):
        try:
            quote = FORMS[kind].read(said, question)
        except ValueError:
            continue
        assert quote is None or (quote.sold == SOLD and 0 < quote.bought.raw < 2**128)


# ------------------------------------------------------------------ slow and dead servers


def test_slow_server_is_waited_for_once_and_then_rested(site):
    site.body, site.drip = zero_ex(), 0.05
    ask = Asking(site)
    started = time.monotonic()
    assert ask() is None
    assert time.monotonic() - started < 3
    started = time.monotonic()
    assert [ask() for _ in range(50)] == [None] * 50
    assert time.monotonic() - started < 0.3
    assert len(site.asked) == len(ask.told) == 1

    site.drip = 0.0
    ask.now += 61
    assert ask() is not None
    site.status = 503
    ask.now += 601
    assert ask() is None
    assert len(ask.told) == 2, "told again, after it had answered"


def test_whatever_hangs_holds_nobody_up_and_is_told_once(site, monkeypatch):
    stuck, begun = threading.Event(), threading.Semaphore(0)

    def hang(*args, **kwargs):
        begun.release()
        stuck.wait(30)
        raise Unfetched("at last")

    monkeypatch.setattr("keeper.offchain.quotes.get_json", hang)
    ask = Asking(site, timeout=0.2)
    started = time.monotonic()
    assert ask() is None
    ask.now += 61
    assert ask() is None, "the line is still taken"
    assert time.monotonic() - started < 3
    assert begun.acquire(blocking=False)
    assert not begun.acquire(blocking=False)
    stuck.set()
    assert ask.told == ["quotes: 0x: does not answer in time; harvests go on without it"]


def test_dead_server_is_told_once_without_any_key(site):
    ask = Asking(site, url="http://127.0.0.1:1/secret-path")
    for _ in range(3):
        assert ask() is None
        ask.now += 61
    (told,) = ask.told
    assert "secret" not in told
    assert "key-0123" not in told


def test_pair_that_is_not_traded_rests_nobody_else(site):
    site.status = 404
    ask = Asking(site, "cow")
    assert ask() is None
    site.status, site.body = 200, cow()
    assert ask() is not None
    assert len(ask.told) == 1


def test_who_does_not_wait_asks_nobody_and_hears_what_is_known(site):
    site.body = zero_ex()
    ask = Asking(site)
    assert ask(wait=False) is None
    assert site.asked == []
    assert ask() is not None
    assert ask(wait=False) is not None
    assert len(site.asked) == 1


def test_answer_is_brought_to_the_amount_that_has_grown_meanwhile(site):
    site.body = zero_ex()
    ask = Asking(site)
    ask()
    more = Amount(UNI, SOLD.raw * 11 // 10)
    grown = ask(more, wait=False)
    assert grown is not None
    assert (grown.sold, grown.bought.raw) == (more, BOUGHT * 11 // 10)
    assert ask(Amount(UNI, SOLD.raw * 2), wait=False) is None, "another sale"
    assert ask(Amount(UNI, SOLD.raw * 1_005 // 1_000)) is not None
    assert len(site.asked) == 1, "fresh and nearly the same"
    ask.now += 601
    assert ask(wait=False) is None, "too old"


def test_what_somebody_wants_to_know_is_asked_again_in_the_background(site):
    site.body = zero_ex()
    ask = Asking(site)
    ask.source.look()
    assert site.asked == []
    ask(wait=False)
    ask.source.look()
    assert ask(wait=False) is not None
    site.body = zero_ex(buyAmount=str(BOUGHT * 2))
    ask.now += 120
    ask.source.look()
    quote = ask(wait=False)
    assert quote is not None
    assert quote.bought.raw == 2 * BOUGHT
    ask.now += 301
    ask.source.look()
    assert len(site.asked) == 2, "nobody wants to know any more"


def test_questions_that_are_remembered_are_bounded(site):
    ask = Asking(site)
    for n in range(1_000):
        ask.source.quote(Address(f"0x{n:040x}"), SOLD, USDC, wait=False)
    assert len(ask.source._known) == 256


def test_chains_it_does_not_know_and_nothing_sold_are_not_asked_about(site):
    ask = Asking(site)
    elsewhere = Token("moon", UNI.address, "UNI", 18)
    assert ask(Amount(elsewhere, 1)) is None
    assert ask(Amount(UNI, 0)) is None
    assert site.asked == []


def test_posting_is_bounded_like_getting(site):
    site.body, site.drip = {"a": 1}, 0.2
    with pytest.raises(Unfetched):
        get_json(site.url, body={"x": 1}, seconds=0.5)
    site.drip, site.body = 0.0, b" " * 200
    with pytest.raises(Unfetched, match="more than 100 bytes"):
        get_json(site.url, body={"x": 1}, max_bytes=100)
    assert site.posted == [{"x": 1}, {"x": 1}]
