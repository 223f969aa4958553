"""What tests of the chain room share: an event recorder, facts, a JSON-RPC stub and proxy, and a small real farm."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from keeper.abi import Fn, encode
from keeper.chain.anvil import LocalNode
from keeper.chain.client import EvmChain, open_chain
from keeper.domain.events import Event
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.domain.plan import Call, LegKind

MULTICALL3 = Address("0xca11bde05977b3631167028862be2a173976ca11")
NOBODY = Address("0x" + "00" * 19 + "01")


@dataclass
class Events:
    """Keeps every event."""

    seen: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.seen.append(event)

    @property
    def names(self) -> list[str]:
        return [event.name.value for event in self.seen]


def make_facts(**changes: Any) -> ChainFacts:
    base: dict[str, Any] = {
        "name": "local",
        "chain_id": 31337,
        "native_symbol": "ETH",
        "wrapped_native": NOBODY,
        "block_time_ms": 12_000,
        "fee_model": "eip1559",
        "tip_floor_wei": 10**8,
        "tip_cap_wei": 5 * 10**9,
        "l1_fee": "none",
        "confirmations": 1,
        "multicall3": MULTICALL3,
    }
    return ChainFacts(**(base | changes))


Answer = tuple[int, bytes, dict[str, str]]


class Server:
    """An HTTP server on a loopback port that answers with whatever ``reply(path, headers, body)`` says."""

    def __init__(self, reply: Callable[[str, dict[str, str], bytes], Answer | None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = reply(self.path, dict(self.headers.items()), body)
                if answer is None:
                    self.close_connection = True
                    return
                status, payload, headers = answer
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(payload))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *args: Any) -> None:
                pass

            def log_error(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def stub(answers: Callable[[str, list[Any]], Any], counts: Counter[str] | None = None) -> Server:
    """A JSON-RPC server: ``answers(method, params)`` returns a result, or a dict {"error": ...}, or an ``Answer``."""

    def one(item: dict[str, Any]) -> Any:
        if counts is not None:
            counts[item["method"]] += 1
        outcome = answers(item["method"], item["params"])
        if isinstance(outcome, tuple):
            return outcome
        wrapped = outcome if isinstance(outcome, dict) and "error" in outcome else {"result": outcome}
        return {"jsonrpc": "2.0", "id": item["id"]} | wrapped

    def reply(_path: str, _headers: dict[str, str], body: bytes) -> Answer | None:
        request = json.loads(body)
        if isinstance(request, list):
            return 200, json.dumps([one(item) for item in request]).encode(), {}
        answer = one(request)
        return answer if isinstance(answer, tuple) else (200, json.dumps(answer).encode(), {})

    return Server(reply)


class Proxy(Server):
    """Stands before a node, counts requests by HTTP and by method, keeps raw sends, and may answer by itself."""

    def __init__(self, target: str, override: Callable[[str, list[Any]], Any] | None = None) -> None:
        self.requests = 0
        self.methods: Counter[str] = Counter()
        self._target = urlsplit(target)
        self._override = override
        self._lock = threading.Lock()
        self._local = threading.local()
        super().__init__(self._reply)

    def reset(self) -> None:
        with self._lock:
            self.requests = 0
            self.methods.clear()

    def _reply(self, _path: str, _headers: dict[str, str], body: bytes) -> Answer | None:
        request = json.loads(body)
        items = request if isinstance(request, list) else [request]
        with self._lock:
            self.requests += 1
            self.methods.update(item["method"] for item in items)
        if self._override is not None and len(items) == 1:
            outcome = self._override(items[0]["method"], items[0].get("params", []))
            if isinstance(outcome, tuple):
                return outcome
            if outcome is not None:
                return 200, json.dumps({"jsonrpc": "2.0", "id": items[0]["id"]} | outcome).encode(), {}
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = HTTPConnection(
                self._target.hostname or "", self._target.port, timeout=60
            )
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(), {}


METHOD_MISSING = {"error": {"code": -32601, "message": "Method not found"}}


@dataclass
class Farm:
    """A real StakingRewards farm and a real Uniswap V2 pool on a node; ``owner`` has a stake and accrued rewards."""

    node: LocalNode
    owner: Address
    reward: Address
    stake: Address
    farm: Address
    router: Address

    def calls(self, swapped: int) -> list[Call]:
        """Claim, approve, swap ``swapped`` of the reward."""
        path = [self.reward, self.stake]
        swap = SWAP.encode(swapped, 1, path, self.owner, 2**40)
        return [
            Call(LegKind.CLAIM, "claim", self.farm, GET_REWARD.encode()),
            Call(LegKind.APPROVE, "approve", self.reward, APPROVE.encode(self.router, swapped)),
            Call(LegKind.SWAP, "swap", self.router, swap),
        ]

    def chain(self, url: str | None = None, **changes: Any) -> EvmChain:
        return open_chain(make_facts(**changes), [url or self.node.url], events=Events())


BALANCE_OF = Fn("balanceOf(address)", "uint256")
APPROVE = Fn("approve(address,uint256)", "bool")
GET_REWARD = Fn("getReward()")
EARNED = Fn("earned(address)", "uint256")
SWAP = Fn("swapExactTokensForTokens(uint256,uint256,address[],address,uint256)", "uint256[]")


def transact(node: LocalNode, sender: str, to: str | None, data: bytes, value: int = 0) -> dict[str, Any]:
    """Mine one transaction from an unlocked account."""
    fields = {"from": sender, "data": "0x" + data.hex(), "gas": hex(6_000_000), "value": hex(value)}
    tx_hash = node.rpc("eth_sendTransaction", fields | ({"to": to} if to else {}))
    receipt = None
    while receipt is None:
        receipt = node.rpc("eth_getTransactionReceipt", tx_hash)
    return receipt


def deploy(node: LocalNode, sender: str, path: str, types: tuple[str, ...] = (), *args: Any) -> Address:
    """Deploy an npm artifact."""
    from keeper.devnet.install import artifact

    code = artifact(path)["bytecode"].removeprefix("0x")
    receipt = transact(node, sender, None, bytes.fromhex(code) + encode(types, args))
    assert receipt["status"] == "0x1", path
    return Address(receipt["contractAddress"].lower())


def put_multicall3(node: LocalNode) -> None:
    from keeper.devnet.install import multicall3_runtime

    node.rpc("anvil_setCode", MULTICALL3, multicall3_runtime())


def build_farm(node: LocalNode) -> Farm:
    """Deploy and stake; afterwards a day has passed."""
    put_multicall3(node)
    owner = Address(node.rpc("eth_accounts")[0].lower())
    core, periphery = "@uniswap/v2-core/build/", "@uniswap/v2-periphery/build/"
    supply = 10**27
    reward = deploy(node, owner, core + "ERC20.json", ("uint256",), supply)
    stake = deploy(node, owner, core + "ERC20.json", ("uint256",), supply)
    weth = deploy(node, owner, periphery + "WETH9.json")
    factory = deploy(node, owner, core + "UniswapV2Factory.json", ("address",), owner)
    router = deploy(node, owner, periphery + "UniswapV2Router02.json", ("address", "address"), factory, weth)
    farm = deploy(
        node,
        owner,
        "@uniswap/liquidity-staker/build/StakingRewards.json",
        ("address", "address", "address"),
        owner,
        reward,
        stake,
    )
    for token in (reward, stake):
        transact(node, owner, token, APPROVE.encode(router, 10**24))
    add = Fn("addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)")
    transact(node, owner, router, add.encode(reward, stake, 10**24, 10**24, 0, 0, owner, 2**40))
    transact(node, owner, stake, APPROVE.encode(farm, 10**22))
    transact(node, owner, farm, Fn("stake(uint256)").encode(10**22))
    transact(node, owner, reward, Fn("transfer(address,uint256)").encode(farm, 10**24))
    receipt = transact(node, owner, farm, Fn("notifyRewardAmount(uint256)").encode(10**24))
    assert receipt["status"] == "0x1"
    node.rpc("evm_increaseTime", hex(86_400))
    node.rpc("evm_mine")
    return Farm(node, owner, reward, stake, farm, router)
