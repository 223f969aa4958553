"""One EVM chain as the engine sees it (``ports.Chain``): reads, fees, simulation, nonces and receipts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from keeper.chain.agreed import AgreedChain
from keeper.chain.endpoint import DEFAULT_TIMEOUT, Endpoint
from keeper.chain.health import EndpointStatus
from keeper.chain.multicall import Multicall
from keeper.chain.pool import Lens, Pool
from keeper.chain.quorum import Quorum
from keeper.chain.reader import Reader
from keeper.chain.sight import sight_of
from keeper.chain.simulate import Simulator
from keeper.domain.facts import ChainFacts
from keeper.domain.money import Address
from keeper.domain.transaction import Sight
from keeper.errors import ConfigError, KeeperError
from keeper.ports import Chain, EventSink

__all__ = ["EvmChain", "batch_sender", "open_chain", "raw_sender"]

#: Endpoints that must agree when nothing is said and there are as many.
_QUORUM: Final = 2


class EvmChain(Reader):
    """A chain through its pool of endpoints. Threads may share it. Errors are as in ``ports.Chain``.

    Reads are answered by whichever endpoint is healthiest, each alone believed; ``agreed()`` is the same chain with
    every answer given alike by ``pool.quorum`` endpoints. ``sight`` and ``used_by`` always are, because transactions
    are settled by them.
    """

    def __init__(self, facts: ChainFacts, pool: Pool, *, in_flight: int = 8) -> None:
        """Nothing is sent until something is asked; then every endpoint's chain id is checked first."""
        multicall = Multicall(pool, facts.multicall3, in_flight=in_flight)
        super().__init__(facts, pool, multicall, Simulator(pool, facts.block_time_ms // 1000))
        self.pool = pool
        #: Asks several endpoints and judges their answers.
        self.quorum = Quorum(pool)
        self._agreed: AgreedChain | None = AgreedChain(self) if pool.quorum > 1 else None

    def agreed(self) -> Chain:
        """Return the same chain, every answer given alike by the quorum of endpoints; itself where one is enough."""
        return self._agreed or self

    def through(self, lens: Lens) -> Reader:
        """Return the same reads, put to one endpoint."""
        return Reader(self.facts, lens, self.multicall, self.simulator)

    def sight(self, account: Address, hashes: Sequence[str], heights: Sequence[int] = ()) -> Sight:
        """Look at everything that an account has in flight: head, nonces, receipts and canonical hashes."""
        if self._agreed is not None:
            return self._agreed.sight(account, hashes, heights)
        return sight_of(self.look(account, hashes, heights))

    def used_by(self, account: Address, nonce: int) -> tuple[str, int] | None:
        """Return hash and block of the mined transaction with this nonce: the proof that the nonce is gone."""
        if self._agreed is not None:
            return self._agreed.used_by(account, nonce)
        return super().used_by(account, nonce)

    def batch_senders(self) -> list[Callable[[Sequence[bytes]], list[str | KeeperError]]]:
        """Return one function per endpoint that sends several raw transactions there, in order, in one request, once.

        Such a function takes at most 100. Each answer is the node's hash, or what it said instead.
        """
        return [batch_sender(endpoint) for endpoint in self.pool.endpoints()]

    def status(self) -> tuple[EndpointStatus, ...]:
        """Return how every endpoint stands, in configured order; asks nothing."""
        return self.pool.status()

    def close(self) -> None:
        """Stop workers and close connections."""
        self.multicall.close()
        self.quorum.close()
        self.pool.close()


def open_chain(
    facts: ChainFacts,
    urls: Sequence[str],
    *,
    events: EventSink,
    quorum: int | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    in_flight: int = 8,
) -> EvmChain:
    """Make a chain from RPC URLs; nothing is sent yet.

    Args:
        facts: what is known about the chain.
        urls: its endpoints, the preferred one first.
        events: is told of endpoints that fail, recover or contradict each other, and of a chain that stands still.
        quorum: how many endpoints must agree where money depends on it; two (one, where there is one) by default.
        timeout: seconds for connecting and for each wait.
        in_flight: chunks of reads on the wire at a time.

    Raises:
        ConfigError: when a URL is malformed or named twice, there is none, or fewer than ``quorum``.
    """
    if len(set(urls)) < len(urls):
        raise ConfigError(f"chains.{facts.name}.rpc names an endpoint twice. Remove one: it cannot vouch for itself.")
    endpoints = [Endpoint(url, timeout=timeout) for url in urls]
    pool = Pool(
        facts.name,
        facts.chain_id,
        endpoints,
        events=events,
        quorum=min(_QUORUM, max(1, len(urls))) if quorum is None else quorum,
        block_seconds=facts.block_time_ms / 1000,
    )
    return EvmChain(facts, pool, in_flight=in_flight)


def raw_sender(endpoint: Endpoint) -> Callable[[bytes], str]:
    """Return a function that sends raw transaction bytes to one endpoint, exactly once, and returns the node's hash."""

    def send(raw: bytes) -> str:
        return str(endpoint.call("eth_sendRawTransaction", ("0x" + raw.hex(),)))

    return send


def batch_sender(endpoint: Endpoint) -> Callable[[Sequence[bytes]], list[str | KeeperError]]:
    """Return a function that sends raw transactions to one endpoint in one batch, exactly once."""

    def send(raws: Sequence[bytes]) -> list[str | KeeperError]:
        try:
            answers = endpoint.send_batch(raws)
        except KeeperError as error:
            return [error] * len(raws)
        return [answer if isinstance(answer, KeeperError) else str(answer) for answer in answers]

    return send
