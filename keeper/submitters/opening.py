"""Make the submitter that a chain's config asks for."""

from __future__ import annotations

import time
from collections.abc import Callable

from keeper.errors import ConfigError
from keeper.ports import Submitter
from keeper.submitters.fan import Fan, SendMany, SendRaw, Source
from keeper.submitters.private import PrivateSubmitter, PrivateThenPublic
from keeper.submitters.public import PublicSubmitter
from keeper.tx.refusals import NO_WORDS, Words

__all__ = ["open_submitter"]


def open_submitter(
    kind: str,
    public_senders: Source[SendMany],
    private_senders: Source[SendRaw] = (),
    *,
    blocks: int = 25,
    sleep: Callable[[float], None] = time.sleep,
    overrides: Words = NO_WORDS,
) -> Submitter:
    """Wire one chain's way to the pools.

    Args:
        kind: ``chains.X.submit``: ``public``, ``private`` or ``private_then_public``.
        public_senders: one function per public endpoint, which sends several transactions in one request.
        private_senders: one function per relay, which sends one transaction.
        blocks: ``chains.X.private_blocks``.
        sleep: waits between attempts.
        overrides: ``chains.X.errors``.

    Raises:
        ConfigError: for an unknown kind, or without the endpoints that it needs.
    """
    fan = Fan(own=overrides, sleep=sleep)
    if kind == "public":
        return PublicSubmitter(public_senders, fan)
    if kind == "private":
        return PrivateSubmitter(private_senders, fan)
    if kind == "private_then_public":
        public = PublicSubmitter(public_senders, fan)
        return PrivateThenPublic(PrivateSubmitter(private_senders, fan), public, blocks)
    raise ConfigError(f'submit = "{kind}" is no way to send; it must be public, private or private_then_public')
