"""Every exception keeper raises, as one tree.

KeeperError
  ConfigError              exit 78; names file and key and says what to write instead
  Transient                worth trying again, with a bound
    RpcUnavailable         no endpoint answered (exit 69)
      RpcTimeout           ... within the time allowed
    RateLimited            an endpoint asked us to slow down
    BadReply               an endpoint answered something that is not an answer
    StaleHead              an endpoint's head is too old
      StatePruned          ... or the block lies so far back that it has dropped its state
    Disagreement           endpoints contradict each other where they must agree: nothing is sent, nothing is settled
  ReadFailed               a view call reverted or answered bytes of the wrong shape
  RpcRejected              the node understood the call and refused it
  PriceUnavailable         a source has no usable price
  Refused                  a guard said no; becomes a BLOCKED decision, never a crash (exit 4)
  TxError
    SimulationReverted     the chain says the call would fail
    TxReverted             it was mined and failed (exit 5)
    TxReplaced             another transaction provably took its nonce
    TxPending              outcome still open; the journal has it (exit 6)
    HarvestPaidNothing     it was mined, and nothing came in
  SignerError
    PolicyDenied           the request is outside the position's policy (exit 4)
    KeyUnavailable         the key could not be opened (exit 69)
  StoreError
    StoreUnavailable       the journal cannot be written: nothing is sent (exit 75)
      LaneHeld             another process owns the lane (chain and account)
    IllegalTransition      a state change that the table does not allow
    JournalTooNew          written by a newer keeper
    JournalMissing         it was here and is gone: nothing is sent until `keeper recover` has rebuilt it (exit 75)
  IntegrityError           journal and chain disagree: the lane halts
    UnaskedTransfer        a mined transaction took what it may not: the account halts for good
"""

from __future__ import annotations

__all__ = [
    "BadReply",
    "ConfigError",
    "Disagreement",
    "HarvestPaidNothing",
    "IllegalTransition",
    "IntegrityError",
    "JournalMissing",
    "JournalTooNew",
    "KeeperError",
    "KeyUnavailable",
    "LaneHeld",
    "PolicyDenied",
    "PriceUnavailable",
    "RateLimited",
    "ReadFailed",
    "Refused",
    "RpcRejected",
    "RpcTimeout",
    "RpcUnavailable",
    "SignerError",
    "SimulationReverted",
    "StaleHead",
    "StatePruned",
    "StoreError",
    "StoreUnavailable",
    "Transient",
    "TxError",
    "TxPending",
    "TxReplaced",
    "TxReverted",
    "UnaskedTransfer",
]


class KeeperError(Exception):
    """Base of all. ``str(error)`` is one or two sentences for the operator, ending in what to do next."""


class ConfigError(KeeperError):
    """The configuration is wrong; the message names file and key.

    Attributes:
        problems: one line per problem, already worded for people.
    """

    def __init__(self, problems: str | list[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else problems
        super().__init__("\n".join(self.problems))


class Transient(KeeperError):
    """May go away by itself."""


class RpcUnavailable(Transient):
    """No endpoint of the chain answered."""


class RpcTimeout(RpcUnavailable):
    """An endpoint did not answer within the time allowed; a smaller question may be answered."""


class RateLimited(Transient):
    """An endpoint asked for fewer requests.

    Attributes:
        retry_after: seconds the endpoint asked to wait, when it said so.
    """

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class BadReply(Transient):
    """An endpoint's answer had the wrong id, shape or encoding."""


class StaleHead(Transient):
    """An endpoint's newest block is too old to decide by."""


class StatePruned(StaleHead):
    """An endpoint no longer has the state of a block that it has passed: another may, the same never will."""


class Disagreement(Transient):
    """Too few endpoints gave the same answer to a question on which money depends."""


class ReadFailed(KeeperError):
    """A view call reverted or returned bytes that do not decode."""


class RpcRejected(KeeperError):
    """The node refused a request.

    Attributes:
        code: JSON-RPC error code; carries no meaning across clients.
        data: revert data, when the node gave any.
    """

    def __init__(self, message: str, *, code: int = 0, data: bytes = b"") -> None:
        self.code = code
        self.data = data
        super().__init__(message)


class PriceUnavailable(KeeperError):
    """A price source has no usable price.

    Attributes:
        kind: ``"missing"`` or ``"stale"``.
    """

    def __init__(self, message: str, *, kind: str = "missing") -> None:
        self.kind = kind
        super().__init__(message)


class Refused(KeeperError):
    """A guard refused to go on."""


class TxError(KeeperError):
    """A transaction did not do what it should."""


class SimulationReverted(TxError):
    """The chain says this call would revert."""


class TxReverted(TxError):
    """Mined with status 0."""


class TxReplaced(TxError):
    """Another transaction provably took the nonce; this one can never be mined."""


class TxPending(TxError):
    """Not confirmed within the time allowed; journaled, and taken up again by the next start."""


class HarvestPaidNothing(TxError):
    """Mined with status 1, and no reward came in."""


class SignerError(KeeperError):
    """A key could not sign."""


class PolicyDenied(SignerError):
    """The request is outside what this position may do."""


class KeyUnavailable(SignerError):
    """The key could not be opened."""


class StoreError(KeeperError):
    """The store refused."""


class StoreUnavailable(StoreError):
    """The store cannot be read or written."""


class LaneHeld(StoreUnavailable):
    """Another process owns the lane; two writers on one account would use one nonce twice."""


class IllegalTransition(StoreError):
    """The table of transitions has no such row."""


class JournalTooNew(StoreError):
    """The journal was written by a newer keeper."""


class JournalMissing(StoreError):
    """The journal that this state folder had is gone or is another one; what it held may be in flight."""


class IntegrityError(KeeperError):
    """Journal and chain disagree; nothing more is sent from this lane until a person has looked."""


class UnaskedTransfer(IntegrityError):
    """A mined transaction moved what it was not allowed to; the account halts, also over restarts."""
