"""A line for each step of a compound while it runs, on stderr: the event stream for somebody who waits."""

from __future__ import annotations

import sys

from keeper.domain.events import Event, EventName

__all__ = ["Progress"]


class Progress:
    """An event sink for one-shot commands. Remembers whether the signer's policy refused something."""

    def __init__(self, *, named: bool = False, silent: bool = False) -> None:
        """Begin; ``named`` puts the position in front of each line, ``silent`` prints nothing."""
        self._named = named
        self._silent = silent
        self.denied = False

    def emit(self, event: Event) -> None:
        """Print what a waiting person wants to know."""
        self.denied |= event.name is EventName.POLICY_DENIED
        text = _words(event)
        if text and not self._silent:
            who = f"{event.fields.get('position')}  " if self._named else ""
            sys.stderr.write(f"  {who}{text}\n")
            sys.stderr.flush()


def _words(event: Event) -> str:
    fields = event.fields
    leg = f"{fields.get('leg')}/{fields.get('legs')}  {fields.get('label')}"
    match event.name:
        case EventName.HARVEST_SENT:
            return f"{leg}: sent {fields['tx']}"
        case EventName.HARVEST_MINED:
            received = f", received {fields['received']}" if fields.get("received") else ""
            return f"{leg}: mined in block {fields['block']:,}, {fields['gas']:,} gas{received}"
        case EventName.HARVEST_RESUMED:
            return f"going on with compound {fields['harvest']} at leg {fields['leg']}/{fields['legs']}"
        case _:
            return ""
