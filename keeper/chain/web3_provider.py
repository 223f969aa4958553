"""Let web3 users (deploy scripts, plugins, one-off work) go through our endpoints and their checks.

Importing this module imports web3, which takes a second: import it where it is needed, inside the function.
"""

from __future__ import annotations

from typing import Any, Final, cast

from web3 import Web3
from web3._utils.encoding import FriendlyJsonSerde, Web3JsonEncoder
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from keeper.chain.client import EvmChain
from keeper.chain.endpoint import Endpoint
from keeper.errors import KeeperError, RpcRejected

__all__ = ["KeeperProvider", "web3_over"]

#: Prefixes of methods that only read; anything else is sent once, to one endpoint.
_READS: Final = ("eth_get", "eth_call", "eth_estimateGas", "eth_chainId", "eth_blockNumber", "eth_fee", "net_", "web3_")


class KeeperProvider(JSONBaseProvider):
    """A web3 provider over a chain's pool (reads fail over) or over one endpoint."""

    #: web3's own retries would repeat sends; ours are elsewhere, around reads alone.
    exception_retry_configuration: None = None

    def __init__(self, over: EvmChain | Endpoint, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._over = over

    def __str__(self) -> str:
        over = self._over
        return f"keeper's endpoints of {over.facts.name}" if isinstance(over, EvmChain) else over.redacted

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Make one request; a node's refusal comes back as web3 expects it, everything else is raised as ours."""
        encoded = _encoded(params)
        try:
            if isinstance(self._over, Endpoint):
                result = self._over.call(method, encoded)
            elif method.startswith(_READS):
                result = self._over.pool.call(method, encoded)
            else:
                result = self._over.pool.once(method, encoded)
        except RpcRejected as error:
            return _refusal(error)
        return cast("RPCResponse", {"jsonrpc": "2.0", "id": 0, "result": result})

    def make_batch_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse]:
        """Make several requests at once."""
        calls = [(method, _encoded(params)) for method, params in requests]
        endpoint = self._over if isinstance(self._over, Endpoint) else self._over.pool.endpoints()[0]
        return [_item(index, answer) for index, answer in enumerate(endpoint.batch(calls))]

    def is_connected(self, show_traceback: bool = False) -> bool:
        """Tell whether a node of the right chain answers."""
        try:
            self.make_request(RPCEndpoint("web3_clientVersion"), [])
        except KeeperError:
            if show_traceback:
                raise
            return False
        return True


def web3_over(over: EvmChain | Endpoint) -> Web3:
    """Return a Web3 whose requests go through our endpoints."""
    return Web3(KeeperProvider(over, cache_allowed_requests=True))


def _encoded(params: Any) -> bytes:
    # web3's encoder knows its bytes types; its annotation asks for a dict, its code takes any JSON.
    return FriendlyJsonSerde().json_encode(cast("dict[Any, Any]", params or []), Web3JsonEncoder).encode()


def _item(index: int, answer: Any) -> RPCResponse:
    if isinstance(answer, RpcRejected):
        return _refusal(answer, index)
    if isinstance(answer, Exception):
        raise answer
    return cast("RPCResponse", {"jsonrpc": "2.0", "id": index, "result": answer})


def _refusal(error: RpcRejected, number: int = 0) -> RPCResponse:
    """Word a refusal the way a node does. web3 wants ``data`` only when there is revert data."""
    body: dict[str, Any] = {"code": error.code, "message": str(error).partition(": ")[2] or str(error)}
    if error.data:
        body["data"] = "0x" + error.data.hex()
    return cast("RPCResponse", {"jsonrpc": "2.0", "id": number, "error": body})
