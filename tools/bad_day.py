"""Play a bad day on the local world, and keep what an operator sees of it: ``make bad-day``.

The real daemon runs in a pseudo-terminal, on real protocol contracts and three endpoints of which two must agree.
Endpoints die and lie, gas spikes, the process is killed, a reorganisation takes blocks away. What the terminal shows
goes between the markers of docs/how-to/bad-day.md, and at the end the chain itself is asked what was executed.
"""

# ruff: noqa: INP001, T201
from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the proxy is the fault tests' own

from tests.faults import proxy as faults  # noqa: E402
from tests.faults.proxy import Rule  # noqa: E402
from tools.bad_day_check import check  # noqa: E402
from tools.bad_day_page import Plain, fill  # noqa: E402
from tools.bad_day_stage import CALM, GWEI, Line, Place, Terminal, keeper_command  # noqa: E402
from tools.screenshot import draw  # noqa: E402

PAGE: Final = ROOT / "docs" / "how-to" / "bad-day.md"
PICTURE: Final = ROOT / "docs" / "images" / "bad-day.svg"

_RECEIPT: Final = ("eth_getTransactionReceipt",)


@dataclass
class Day:
    """One day: what happens, and what is seen of it."""

    place: Place
    #: What each part of the page shows, raw lines.
    parts: dict[str, list[Line]] = field(default_factory=dict)
    daemons: list[Terminal] = field(default_factory=list)
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def daemon(self) -> Terminal:
        """The daemon that was started last."""
        return self.daemons[-1]

    def start(self) -> None:
        """Start the daemon."""
        self.daemons.append(Terminal([keeper_command(), "run"], self.place.folder))

    def wait(self, pattern: str, *, since: int | None = None, count: int = 1, seconds: float = 120) -> Line:
        """Wait for a line of the log, by default a new one."""
        return self.daemon.wait_for(pattern, since=self.now if since is None else since, count=count, seconds=seconds)

    @property
    def now(self) -> int:
        """Number of log lines so far."""
        return len(self.daemon.lines)

    def show(self, part: str, lines: Sequence[Line], keep: str = "", drop: str = r"cycle\.done") -> None:
        """Put lines into a part of the page; ``keep`` and ``drop`` say which, and gaps are marked."""
        shown = self.parts.setdefault(part, [])
        gap = False
        for line in lines:
            if (keep and not re.search(keep, line.text)) or (drop and re.search(drop, line.text)):
                gap = True
                continue
            if gap and keep:
                shown.append(Line(line.at, "..."))
            gap = False
            shown.append(line)

    def log(self, part: str, since: int, keep: str = "", drop: str = r"cycle\.done") -> None:
        """Put what the daemon has said since into a part."""
        self.show(part, self.daemon.lines[since:], keep, drop)

    def type(self, part: str, *argv: str) -> list[str]:
        """Run a keeper command as a person would, and keep what it shows."""
        terminal = Terminal([keeper_command(), *argv], self.place.folder)
        terminal.process.wait(120)
        terminal.end(0)
        words = " ".join(f'"{word}"' if " " in word else word for word in argv)
        shown = [Line(time.monotonic(), f"$ keeper {words}"), *terminal.lines]
        self.show(part, shown, drop="")
        return [line.text for line in terminal.lines]

    def say(self, words: str) -> None:
        """Tell the person who plays the day how far it is."""
        print(f"* {words}", flush=True)

    def days_pass(self) -> None:
        """Let rewards grow until both positions are due again."""
        since = self.now
        self.place.days_pass(7)
        self.wait("harvest.sent .*leg=1/", since=since, count=1)


# ---------------------------------------------------------------------- the parts of the day


def ordinary(day: Day) -> None:
    """Two compounds begin."""
    day.say("two compounds begin")
    day.start()
    day.wait("daemon.started", since=0)
    day.begun = datetime.now(UTC)
    day.wait("harvest.mined .*leg=1/10", since=0)
    day.log("start", 0, drop="leg=[2-9]")


def lie(day: Day) -> None:
    """One endpoint says of every receipt that the transaction failed."""
    day.say("an endpoint lies about a receipt")
    since = day.now
    liar = day.place.proxies[0]
    liar.add(Rule(faults.lying_receipt(faults.flipped_status, "flipped"), methods=_RECEIPT))
    day.wait("rpc.disagreed", since=since)
    day.wait("harvest.mined", since=day.now)
    day.log("lie", since, keep="rpc.disagreed|harvest.mined")
    liar.clear()


def dead_endpoint(day: Day) -> None:
    """One endpoint dies in the middle of them, and comes back."""
    day.say("an endpoint dies")
    since, dead = day.now, Rule(faults.close(), methods=())
    day.place.stop_blocks()  # the compound shall not be over before it has noticed
    day.place.proxies[2].add(dead)
    day.wait("rpc.failed .*paused_seconds=[1-9]", since=since)
    day.place.go_on()
    day.wait("harvest.mined", since=day.now)
    day.log("dies", since, keep="rpc.failed|harvest.mined|harvest.done")
    since = day.now
    day.place.proxies[2].clear()
    day.say("and comes back")
    day.wait("rpc.recovered", since=since)
    day.log("back", since, keep="rpc.recovered")
    day.wait("harvest.done", since=0, count=2)


def spike(day: Day) -> None:
    """Gas leaves the bids behind, within what the compound is worth."""
    day.say("gas spikes, and keeper outbids itself")
    day.days_pass()
    day.wait("harvest.mined .*leg=1/", since=day.now, count=1)
    day.place.stop_blocks()
    since = day.now
    day.wait("harvest.sent", since=since)
    day.place.base_fee = 6 * GWEI
    day.place.go_on()
    day.wait("harvest.sent .*attempt=2", since=since)
    day.wait("harvest.mined", since=day.now)
    day.log("spike", since)
    day.place.base_fee = CALM


def kill(day: Day) -> str:
    """Kill the process right after a leg has left, and start it again."""
    day.say("kill -9 in the middle of a leg")
    day.place.stop_blocks()
    since = day.now
    sent = day.wait("harvest.sent", since=since)
    day.daemon.end(signal.SIGKILL)
    day.log("kill", since)
    day.parts["kill"] += [Line(time.monotonic(), "Killed"), Line(time.monotonic(), "$ keeper run")]
    day.start()
    day.wait("harvest.resumed", since=0)
    time.sleep(2)
    day.place.go_on()
    day.wait("harvest.mined", since=0)
    day.log("kill", 0)
    return _hash(sent)


def reorg(day: Day) -> str:
    """Take the blocks of a confirmed leg out of the chain."""
    day.say("a reorganisation takes the last blocks")
    mined = day.wait("harvest.mined")
    since = day.now - 1
    height = int(re.search(r"block=(\d+)", mined.text)[1])  # type: ignore[index]
    day.place.reorg(day.place.height - height + 1)
    day.wait(f"harvest.mined .*{_hash(mined)}", since=since + 1)
    day.log("reorg", since)
    day.wait("harvest.done", since=0, count=2)
    return _hash(mined)


def ride(day: Day) -> None:
    """Gas passes what the compound is worth before its first leg is mined: it waits, unmined and free."""
    day.say("gas is not worth it any more: the first leg rides")
    since = day.now
    day.place.stop_blocks()
    day.days_pass()
    day.place.base_fee = 20 * GWEI
    day.place.go_on()
    day.wait("tx.stuck", since=since)
    day.log("ride", since, drop=r"cycle\.done|position=usdc-aave")
    since = day.now
    day.place.base_fee = CALM
    day.wait("harvest.mined .*leg=1/10", since=since)
    day.log("calm", since, drop=r"cycle\.done|position=usdc-aave|leg=2")


def cancel(day: Day) -> None:
    """A person stops everything, looks, cancels what is stuck, and goes on."""
    day.say("a leg is stuck; a person steps in")
    day.wait("harvest.mined .*leg=7/10", since=day.now)
    since = day.now
    day.place.stop_blocks()
    day.wait("harvest.sent .*leg=8/10", since=since - 4)
    day.place.base_fee = 120 * GWEI
    day.place.go_on()
    day.wait("tx.stuck", since=since)
    day.log("stuck", since)
    since = day.now
    day.type("stuck", "pause", "gas is at 120 gwei")
    day.wait("lane.paused", since=since)
    day.log("stuck", since, keep="lane.paused")
    listed = day.type("stuck", "tx", "list", "--open")
    waiting = next(line.split()[0] for line in listed if "add WETH" in line)
    day.type("stuck", "tx", "show", waiting)
    day.type("stuck", "status")
    since = day.now
    day.type("cancel", "tx", "cancel", waiting, "--yes")
    day.wait("tx.cancelled", since=since)
    day.log("cancel", since)
    day.place.base_fee = CALM
    since = day.now
    day.wait("cycle.done", since=since, count=2)
    day.type("resume", "resume")
    day.wait("harvest.done .*uni-farm", since=since)
    day.log("resume", since)


def end(day: Day) -> None:
    """The books."""
    day.say("the end of the day")
    day.type("books", "ledger")
    day.type("books", "status")


def _hash(line: Line) -> str:
    found = re.search(r"tx=(0x[0-9a-f]{64})", line.text)
    assert found is not None, line.text
    return found[1]


def play(day: Day) -> None:
    """Play everything, and let the chain judge."""
    place = day.place
    ordinary(day)
    lie(day)
    dead_endpoint(day)
    spike(day)
    killed = kill(day)
    taken = reorg(day)
    ride(day)
    cancel(day)
    end(day)
    day.daemon.end(signal.SIGTERM)
    day.say("the chain is asked")
    found = check(place, killed=killed, taken=taken)
    day.parts["chain"] = [Line(time.monotonic(), line) for line in found]


def main() -> None:
    """Play the day, and write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry", action="store_true", help="Only play it; write nothing.")
    parser.add_argument("--loud", action="store_true", help="Show everything that is captured.")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    scratch = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # noqa: S108 - the world is thrown away
    with tempfile.TemporaryDirectory(prefix="keeper-bad-day-", dir=scratch) as folder, Place(Path(folder)) as place:
        day = Day(place)
        try:
            play(day)
        finally:
            for daemon in day.daemons:
                daemon.end(signal.SIGKILL)
                if options.loud:
                    print("\n".join(line.text for line in daemon.lines), end="\n----\n")
    names = {proxy.url.rstrip("/"): f"http://rpc-{proxy.name}" for proxy in place.proxies}
    plain = Plain(day.begun, names)
    shown = {part: [plain(line.raw) for line in lines] for part, lines in day.parts.items()}
    print("\n".join(shown["chain"]))
    if not options.dry:
        PAGE.write_text(fill(PAGE.read_text(), shown))
        screen = "\n".join(shown["kill"] + shown["reorg"])
        PICTURE.write_text(draw(screen, "keeper run", name="keeper-bad-day", wrap=True))
        print(f"wrote {PAGE.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
