"""Quotes of aggregators, to measure one's own way of a sale by: asked when a harvest is due, checked, never traded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from keeper.domain.money import Address, Amount, Token
from keeper.domain.sale_quote import SaleQuote
from keeper.offchain.fetch import Unfetched, get_json
from keeper.offchain.quote_forms import FORMS, Question, QuoteForm

__all__ = ["FORMS", "OutsideQuotes"]

#: Longest answer, bytes: that of a route with hundreds of parts.
_MAX_BYTES: Final = 500_000
#: Seconds beyond the timeout that a question is given before its asker goes on without it.
_GRACE: Final = 0.5
#: Seconds for which nobody is asked after no answer came.
_REST: Final = 60.0
#: Seconds for which an answer is as good as a new one, and for which it is known at all.
_FRESH: Final = 30.0
_KEPT: Final = 600.0
#: Seconds after which a question that nobody puts any more is not asked in the background any more.
_WANTED: Final = 300.0
#: Part of the amount by which a question may differ from one that was answered so long ago: one in so many.
_ALIKE_FRESH: Final = 100
_ALIKE_KEPT: Final = 5
#: Questions that are remembered.
_MOST: Final = 256
#: Statuses that mean "not for this pair": others mean that the service is not to be had.
_NOT_THIS_PAIR: Final = frozenset({400, 404, 422})

#: Chain, account, what is sold, what is bought.
_Pair = tuple[str, Address, Address, Address]


@dataclass(slots=True)
class _Known:
    """The newest question of a pair, and what was answered last."""

    question: Question
    #: When it was last put by somebody who does not wait; ``None`` for never.
    wanted: float | None = None
    answer: SaleQuote | None = None
    at: float = 0.0


class OutsideQuotes:
    """What a service says about sales. Threads may share it; it never raises, and is asked only by who waits."""

    def __init__(
        self,
        form: QuoteForm,
        networks: Mapping[str, str],
        *,
        timeout: float,
        url: str | None = None,
        key: str | None = None,
        monotonic: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        """Ask one service.

        Args:
            form: its form of questions and answers.
            networks: what it calls a chain, by chain name; others are not asked about.
            timeout: seconds for one answer.
            url: another address than its usual one.
            key: sent along where it wants one.
            monotonic: seconds that only go on.
            tell: called once with why there are no answers, and again only after there were.
        """
        self.name = form.name
        self._form, self._networks, self._timeout = form, dict(networks), timeout
        self._url, self._key = (url or form.url).rstrip("/"), key
        self._monotonic, self._tell = monotonic, tell
        self._known: dict[_Pair, _Known] = {}
        self._rest_until = 0.0
        #: What was told and still holds: of the whole service, or of a pair.
        self._told: set[_Pair | None] = set()
        self._lock = threading.Lock()
        #: One question at a time, for services count them; whoever finds it taken for too long goes on.
        self._line = threading.Lock()

    def quote(self, owner: Address, sold: Amount, buy: Token, *, wait: bool) -> SaleQuote | None:
        """Say what selling ``sold`` would bring, as the port wants it."""
        network = self._networks.get(sold.token.chain)
        if network is None or sold.raw <= 0:
            return None
        question = Question(network, owner, sold, buy)
        if not wait:
            self._note(question, wanted=True)
            return self._remembered(question, _KEPT, _ALIKE_KEPT)
        known = self._remembered(question, _FRESH, _ALIKE_FRESH)
        if known is None:
            self._note(question, wanted=False)
            self._ask_bounded(question)
            known = self._remembered(question, _KEPT, _ALIKE_KEPT)
        return known

    def look(self) -> None:
        """Ask again what somebody wants to know who does not wait: a harvest that was held back goes on by itself."""
        now = self._monotonic()
        with self._lock:
            put = [known.question for known in self._known.values() if now - (known.wanted or -_WANTED) < _WANTED]
        for question in put:
            if self._line.acquire(timeout=self._timeout):
                self._ask_and_free(question)

    def _ask_bounded(self, question: Question) -> None:
        """Ask in a thread: names that do not resolve, and whatever else has no timeout, hold up nobody else."""
        if self._monotonic() < self._rest_until or not self._line.acquire(timeout=self._timeout):
            return
        asking = threading.Thread(target=self._ask_and_free, args=(question,), name="quote", daemon=True)
        asking.start()
        asking.join(self._timeout + _GRACE)
        if asking.is_alive():
            self._failed(question, "does not answer in time", pair=False)

    def _ask_and_free(self, question: Question) -> None:
        try:
            self._ask(question)
        finally:
            self._line.release()

    def _note(self, question: Question, *, wanted: bool) -> None:
        now = self._monotonic()
        with self._lock:
            known = self._known.pop(_pair(question), None) or _Known(question)
            known.question, known.wanted = question, now if wanted else known.wanted
            self._known[_pair(question)] = known  # the newest is the last
            while len(self._known) > _MOST:
                del self._known[next(iter(self._known))]

    def _remembered(self, question: Question, seconds: float, alike: int) -> SaleQuote | None:
        """Return what was answered about nearly this amount lately, brought to this amount."""
        now = self._monotonic()
        with self._lock:
            known = self._known.get(_pair(question))
            answer = known.answer if known is not None and now - known.at < seconds else None
        if answer is None or abs(answer.sold.raw - question.sold.raw) * alike > answer.sold.raw:
            return None
        bought = answer.bought.raw * question.sold.raw // answer.sold.raw
        return SaleQuote(question.sold, Amount(question.buy, bought), answer.source, answer.gas, answer.via)

    def _ask(self, question: Question) -> None:
        if self._monotonic() < self._rest_until:
            return
        path, body = self._form.asked(question)
        try:
            document = get_json(
                self._url + path,
                self._form.headers(self._key),
                body=body,
                seconds=self._timeout,
                max_bytes=_MAX_BYTES,
            )
            answer = self._form.read(document, question)
        except Unfetched as error:
            self._failed(question, str(error), pair=error.status in _NOT_THIS_PAIR)
        except ValueError as error:
            self._failed(question, f"answers something else than the quote that was asked for: {error}", pair=True)
        else:
            self._answered(question, answer)

    def _failed(self, question: Question, why: str, *, pair: bool) -> None:
        about = _pair(question) if pair else None
        with self._lock:
            if not pair:
                self._rest_until = self._monotonic() + _REST
            new = about not in self._told and len(self._told) < _MOST
            if new:
                self._told.add(about)
        if new:
            sale = f" ({question.sold.token.symbol} for {question.buy.symbol})" if pair else ""
            self._tell(f"quotes: {self.name}{sale}: {why}; harvests go on without it")

    def _answered(self, question: Question, answer: SaleQuote | None) -> None:
        with self._lock:
            self._told -= {None, _pair(question)}
            known = self._known.get(_pair(question))
            if known is not None:
                known.answer, known.at = answer, self._monotonic()


def _pair(question: Question) -> _Pair:
    sold = question.sold.token
    return sold.chain, question.owner, sold.address, question.buy.address
