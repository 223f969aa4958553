"""Exit codes: what a script may rely on. docs/reference/exit-codes.md is checked against this."""

from __future__ import annotations

from enum import IntEnum

from keeper import errors

__all__ = ["MEANINGS", "ExitCode", "exit_code_for"]


class ExitCode(IntEnum):
    """Codes of every command."""

    #: Done, or nothing was wrong.
    OK = 0
    #: Something unexpected; a bug report is welcome.
    UNEXPECTED = 1
    #: The command line is wrong.
    USAGE = 2
    #: Nothing to do: the rule says wait.
    NOTHING_TO_DO = 3
    #: A guard or the signer's policy refused.
    REFUSED = 4
    #: A transaction failed or was reverted.
    TX_FAILED = 5
    #: The outcome is still open; the journal has it.
    PENDING = 6
    #: An endpoint or a key is not available.
    UNAVAILABLE = 69
    #: Something that goes away by itself: try again.
    TEMPORARY = 75
    #: The configuration is wrong.
    CONFIG = 78
    #: Stopped by SIGINT (Ctrl-C).
    INTERRUPTED = 130
    #: Stopped by SIGTERM.
    TERMINATED = 143


#: One line for each code, for the docs.
MEANINGS = {
    ExitCode.OK: "Done, or nothing was wrong.",
    ExitCode.UNEXPECTED: "Something unexpected; a bug report is welcome.",
    ExitCode.USAGE: "The command line is wrong.",
    ExitCode.NOTHING_TO_DO: "Nothing to do: the rule says wait (`--exit-zero` makes it 0), or it was too late.",
    ExitCode.REFUSED: "A guard, the signer's policy, a pause or a halt refused, or what was asked for is not possible.",
    ExitCode.TX_FAILED: "A transaction failed or was reverted.",
    ExitCode.PENDING: "Timed out with the outcome open; the journal has it, and the next start takes it up.",
    ExitCode.UNAVAILABLE: "No endpoint answered, or a key could not be opened.",
    ExitCode.TEMPORARY: "Not now: the journal cannot be used, another process has the account, endpoints disagree.",
    ExitCode.CONFIG: "The configuration is wrong (every mistake is listed), or an endpoint or journal does not fit.",
    ExitCode.INTERRUPTED: "Stopped by SIGINT (Ctrl-C).",
    ExitCode.TERMINATED: "Stopped by SIGTERM.",
}

_BY_ERROR: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (errors.ConfigError, ExitCode.CONFIG),
    (errors.RpcUnavailable, ExitCode.UNAVAILABLE),
    (errors.KeyUnavailable, ExitCode.UNAVAILABLE),
    (errors.Transient, ExitCode.TEMPORARY),
    (errors.PriceUnavailable, ExitCode.TEMPORARY),
    (errors.StoreUnavailable, ExitCode.TEMPORARY),
    (errors.JournalMissing, ExitCode.TEMPORARY),
    (errors.JournalTooNew, ExitCode.CONFIG),
    (errors.IntegrityError, ExitCode.REFUSED),
    (errors.Refused, ExitCode.REFUSED),
    (errors.PolicyDenied, ExitCode.REFUSED),
    (errors.TxPending, ExitCode.PENDING),
    (errors.TxError, ExitCode.TX_FAILED),
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
)


def exit_code_for(error: BaseException) -> ExitCode:
    """Return the code that a command ends with when ``error`` reaches the outermost frame."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.UNEXPECTED)
