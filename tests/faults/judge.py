"""The judge of a run: the chain is right, and journal, wire and log are compared with it.

Which invariant of a sending engine (I1 to I25) is held where:

====  ================================================================================================================
I1    ``Judge.wire``: each raw transaction was in the journal when it arrived at a proxy
I2    ``Judge.executions``: at most one success per intent, per leg of a compound, per position
I3    ``Judge.journal``: one intent per nonce; test_rows: F39; unit tests of the store's constraints
I4    ``Judge.executions`` (a cancelled intent's nonce has another transaction on the chain); test_rows: F7, F20, F48
I5    ``Judge.gaps``; test_rows: F8, F9, F19
I6    ``Judge.gaps``: every nonce up to the highest in the journal is mined at the end
I7    ``Judge.executions``: what was cancelled did not run, what ran is not called cancelled; test_rows: F13, F18
I8    ``Judge.prices``: both fields at least an eighth above the highest broadcast attempt; test_rows: F14 (geth's pool)
I9    ``Judge.prices``: no fee above any ceiling on the wire; test_rows: F13, F15, F42
I10   ``Judge.executions`` and ``Judge.ledger`` after reorgs; test_rows: F16, F17, F18, F19
I11   every schedule with kills; test_rows: F36, F37 and the sweep of kill points over faults
I12   test_rows: F39; every schedule with a second daemon
I13   test_rows: F1, F2, F3, F26, F27
I14   test_rows: F5, F6; the table of words in tests/unit/test_submitters.py
I15   test_rows: F28
I16   tests/property/test_policy_boundary.py
I17   test_rows: F13, F44
I18   test_rows: F32, F33, F34
I19   test_rows: F30, F31
I20   test_rows: F11 and F39 with four in flight on geth's pool; tests/faults/strict
I21   test_rows: F40
I22   tests/e2e/test_cli_dry_run.py; test_rows: ``test_a_rehearsal_sends_nothing``
I23   ``Judge.log`` (exit codes); tests/e2e/test_daemon.py
I24   ``Judge.secrets``: canaries in log, output, journal and requests
I25   test_rows: F38 and ``test_a_journal_that_is_gone``; tests/unit of the store's migrations
====  ================================================================================================================
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from keeper.devnet.accounts import FARMER
from tests.faults import world
from tests.faults.stage import PASSWORD, POSITIONS, URL_CANARY, Stage
from tests.faults.wire import Wire, decode_raw

#: What a run can be found guilty of.
COUNTS: Final = ("double", "lost", "stuck", "above_ceiling", "unjournaled", "leaked", "ledger", "insane")


@dataclass
class Verdict:
    """What the judge found; guilty when there is any finding."""

    findings: list[tuple[str, str]] = field(default_factory=list)
    #: Facts about the run that are no fault.
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, kind: str, text: str) -> None:
        """Note a finding."""
        assert kind in COUNTS, kind
        self.findings.append((kind, text))

    @property
    def counts(self) -> Counter[str]:
        """Findings by kind."""
        return Counter(kind for kind, _ in self.findings)

    def __bool__(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        return "\n".join(f"  {kind}: {text}" for kind, text in self.findings) or "  nothing found"


@dataclass
class Mined:
    """A transaction of the account on the canonical chain."""

    hash: str
    nonce: int
    to: str
    status: int
    block: int
    logs: list[dict[str, Any]]


class Judge:
    """Judges one run, after its keeper has ended."""

    def __init__(self, stage: Stage, *, expect_all: bool = True, moved: bool = False) -> None:
        """Read everything.

        Args:
            stage: the run.
            expect_all: every position must have been compounded exactly once.
            moved: a reorg deeper than the confirmations may have changed amounts after they were used.
        """
        self.stage = stage
        self.expect_all = expect_all
        self.moved = moved or stage.deepest >= stage.knobs.confirmations
        self.verdict = Verdict()
        self.mined = _mined(stage)  # the account's short past included
        self.by_hash = {tx.hash: tx for tx in self.mined}
        self.intents = stage.rows("SELECT * FROM intents")
        self.attempts = stage.rows("SELECT * FROM attempts")
        self.harvests = stage.rows("SELECT * FROM harvests")
        self.hashes: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for attempt in self.attempts:
            self.hashes[attempt["intent_id"]].append(attempt)

    def judge(self) -> Verdict:
        """Everything."""
        for part in (
            self.wire,
            self.executions,
            self.positions,
            self.gaps,
            self.prices,
            self.ledger,
            self.secrets,
            self.log,
        ):
            part()
        stage = self.stage
        self.verdict.facts |= {
            "transactions": len(self.mined) - 4,
            "blocks": stage.height - stage.genesis,
            "attempts": len(self.attempts),
            "starts": len(stage.keepers),
        }
        return self.verdict

    # ------------------------------------------------------------------ wire and journal

    def wire(self) -> None:
        """I1: nothing on the wire, and nothing on the chain, that was not in the journal first."""
        known = {attempt["hash"].lower() for attempt in self.attempts}
        for proxy in self.stage.proxies:
            for seen in proxy.seen:
                if seen.journaled is False or (seen.journaled is None and seen.hash not in known):
                    self.verdict.add("unjournaled", f"{seen.hash} reached endpoint {seen.endpoint} before the journal")
        for tx in self.mined:
            if tx.hash not in known and tx.hash not in self.stage.foreign:
                self.verdict.add("unjournaled", f"{tx.hash} (nonce {tx.nonce}) is on the chain and not in the journal")

    def executions(self) -> None:
        """I2, I4, I7: what the journal says of each intent is what the chain did."""
        successes: Counter[tuple[str, int]] = Counter()
        for intent in self.intents:
            attempts = self.hashes[intent["id"]]
            there = [(self.by_hash[a["hash"].lower()], a) for a in attempts if a["hash"].lower() in self.by_hash]
            work = [tx for tx, a in there if a.get("purpose", "work") == "work"]
            ran = [tx for tx in work if tx.status == 1]
            name = f"{intent['label']} of {intent['harvest_id']} (nonce {intent['nonce']})"
            if len(there) > 1:
                self.verdict.add("double", f"{name}: {len(there)} of its transactions are mined")
            if ran and intent["kind"] != "approve":
                successes[intent["harvest_id"], intent["leg_index"]] += 1
            state = intent["state"]
            if state == "confirmed" and not ran:
                self.verdict.add("lost", f"{name}: confirmed in the journal, not successful on the chain")
            elif state == "cancelled" and work:
                self.verdict.add("lost", f"{name}: cancelled in the journal, mined on the chain")
            elif state == "cancelled" and attempts and not there and not self._foreign_at(intent["nonce"]):
                self.verdict.add("lost", f"{name}: cancelled, and no other transaction has its nonce")
            elif state == "reverted" and (not work or ran):
                self.verdict.add("lost", f"{name}: reverted in the journal, not on the chain")
        for (harvest, leg), count in successes.items():
            if count > 1:
                self.verdict.add("double", f"leg {leg} of compound {harvest} ran {count} times")

    def _foreign_at(self, nonce: int | None) -> bool:
        return any(tx.nonce == nonce and tx.hash in self.stage.foreign for tx in self.mined)

    def positions(self) -> None:
        """What the farms say: each position was claimed once and staked once, with the same amount."""
        stage = self.stage
        names = dict(zip(stage.places.farms, POSITIONS, strict=True))
        paid: dict[str, list[int]] = defaultdict(list)
        staked: dict[str, list[int]] = defaultdict(list)
        for tx in self.mined:
            for log in tx.logs:
                name = names.get(log["address"].lower())
                if name is not None and log["topics"][0] in (world.PAID, world.STAKED):
                    into = paid if log["topics"][0] == world.PAID else staked
                    into[name].append(int(log["data"], 16))
        done = Counter(h["position_id"] for h in self.harvests if h["state"] == "done")
        for name in POSITIONS:
            claims, stakes = len(paid[name]), len(staked[name])
            if stakes > 1 or claims > 1:
                self.verdict.add("double", f"{name} was claimed {claims} times and staked {stakes} times")
            if done[name] != stakes:
                self.verdict.add("lost", f"{name}: {done[name]} compounds done in the journal, {stakes} on the chain")
            if self.expect_all and stakes == 0:
                self.verdict.add("stuck", f"{name} was never compounded ({claims} claims)")
            if claims == stakes == 1 and paid[name] != staked[name] and not self.moved:
                self.verdict.add("lost", f"{name}: {paid[name][0]} claimed, {staked[name][0]} staked")

    def gaps(self) -> None:
        """I5, I6: nothing waits for anything, and no nonce was left out."""
        stage = self.stage
        for harvest in self.harvests:
            if harvest["state"] == "open":
                self.verdict.add("stuck", f"compound {harvest['id']} of {harvest['position_id']} is still open")
            if harvest["state"] == "failed":
                self.verdict.add("stuck", f"compound {harvest['id']} was given up: {harvest['error']}")
        for intent in self.intents:
            if intent["state"] in ("planned", "signed", "broadcast", "mined"):
                self.verdict.add("stuck", f"{intent['label']} (nonce {intent['nonce']}) is still {intent['state']}")
        count = int(stage.rpc("eth_getTransactionCount", FARMER.address, "latest"), 16)
        highest = max((i["nonce"] for i in self.intents if i["nonce"] is not None), default=stage.first_nonce - 1)
        if highest >= count:
            self.verdict.add("stuck", f"the journal has used nonces up to {highest}, the chain only up to {count - 1}")
        waiting = [tx for tx in stage.pooled() if tx not in stage.foreign]
        if waiting:
            self.verdict.add("stuck", f"{len(waiting)} transactions wait in the pool")
        nonces = Counter(i["nonce"] for i in self.intents if i["nonce"] is not None)
        if any(count > 1 for count in nonces.values()):
            self.verdict.add("double", f"two intents share a nonce: {nonces}")

    def prices(self) -> None:
        """I8, I9: ceilings hold on the wire, and every replacement pays an eighth more in both fields."""
        knobs = self.stage.knobs
        purposes = {a["hash"].lower(): a.get("purpose", "work") for a in self.attempts}
        highest: dict[int, Wire] = {}
        known: set[str] = set()
        for seen in sorted((s for proxy in self.stage.proxies for s in proxy.seen), key=lambda s: s.at):
            if seen.hash in known:
                continue
            known.add(seen.hash)
            tx = decode_raw(seen.raw)
            usd = tx.max_fee * tx.gas * world.ETH_USD / 10**18
            cap = knobs.cancel_usd if purposes.get(seen.hash) == "cancel" else knobs.per_tx_usd
            if tx.max_fee > knobs.max_gas_gwei * world.GWEI or usd > cap:
                self.verdict.add(
                    "above_ceiling", f"nonce {tx.nonce}: {tx.max_fee / 1e9:.1f} gwei, ${usd:.2f} (cap ${cap})"
                )
            if tx.chain_id != world.CHAIN_ID or tx.tip > tx.max_fee:
                self.verdict.add("insane", f"nonce {tx.nonce}: chain id {tx.chain_id}, tip {tx.tip}, cap {tx.max_fee}")
            old = highest.get(tx.nonce)
            if old is not None and (tx.max_fee * 8 < old.max_fee * 9 or tx.tip * 8 < old.tip * 9):
                self.verdict.add(
                    "insane",
                    f"nonce {tx.nonce} was replaced by less than an eighth: "
                    f"{old.max_fee}/{old.tip} -> {tx.max_fee}/{tx.tip}",
                )
            if old is None or tx.max_fee > old.max_fee:
                highest[tx.nonce] = tx

    def ledger(self) -> None:
        """Ledger rows stand for Transfer logs of canonical receipts, each once."""
        rows = [r for r in self.stage.rows("SELECT * FROM ledger WHERE reversed = 0") if r["log_index"] >= 0]
        booked = Counter((r["tx_hash"].lower(), r["token"].lower(), abs(int(r["raw"]))) for r in rows if r["sign"])
        owner = "0x" + "0" * 24 + FARMER.address[2:]
        real: Counter[tuple[str, str, int]] = Counter()
        done = {h["id"] for h in self.harvests if h["state"] == "done"}
        ours = {a["hash"].lower() for i in self.intents if i["harvest_id"] in done for a in self.hashes[i["id"]]}
        for tx in self.mined:
            if tx.hash in ours and tx.status == 1:
                for log in tx.logs:
                    if log["topics"][0] == world.TRANSFER and owner in log["topics"][1:]:
                        real[tx.hash, log["address"].lower(), int(log["data"], 16)] += 1
        for key in booked - real:
            self.verdict.add("ledger", f"booked, and not on the chain: {key}")
        for key in real - booked:
            self.verdict.add("ledger", f"on the chain, and not booked: {key}")

    # ------------------------------------------------------------------ words

    def secrets(self) -> None:
        """I24: no canary anywhere but in the endpoint's own URL."""
        stage = self.stage
        texts = {"the log": stage.logged(), "standard output": stage.printed()}
        for path in stage.state.rglob("*"):
            if path.is_file():
                texts[f"state/{path.name}"] = path.read_bytes().decode("latin-1")
        for where, text in texts.items():
            for canary in (URL_CANARY, PASSWORD, FARMER.private_key[2:]):
                if canary in text:
                    self.verdict.add("leaked", f"{canary[:8]}... in {where}")
        for proxy in stage.proxies:
            for leak in proxy.leaks[:3]:
                self.verdict.add("leaked", leak)

    def log(self) -> None:
        """I23: no bug's traceback, and only exit codes that a supervisor can act on."""
        text = self.stage.logged() + self.stage.printed()
        for word in ("Traceback", "unexpected ", "assert"):
            if word in text:
                line = next(line for line in text.splitlines() if word in line)
                bug = re.findall(r"^(?:\w+\.)*\w*(?:Error|Exception)\b.*$", text, re.MULTILINE)
                self.verdict.add("insane", f"{word.strip()} in the log: {(bug or [line])[0][:200]}")
                break
        for ended in self.stage.ended:
            if not ended.killed and ended.code not in (0, 6, 69, 75):
                self.verdict.add("insane", f"keeper ended with exit code {ended.code}")
        events = Counter()
        for line in text.splitlines():
            if line.startswith("{"):
                try:
                    events[json.loads(line)["event"]] += 1
                except (ValueError, KeyError):
                    continue
        self.verdict.facts["events"] = dict(events)


def _mined(stage: Stage) -> list[Mined]:
    """Every transaction of the account since the run began, from the blocks themselves."""
    found = []
    for number in range(stage.past, stage.height + 1):
        block = stage.node.rpc("eth_getBlockByNumber", hex(number), True)
        for tx in block["transactions"]:
            if tx["from"].lower() == FARMER.address:
                receipt = stage.node.rpc("eth_getTransactionReceipt", tx["hash"])
                found.append(
                    Mined(
                        tx["hash"].lower(),
                        int(tx["nonce"], 16),
                        (tx["to"] or "").lower(),
                        int(receipt["status"], 16),
                        number,
                        receipt["logs"],
                    )
                )
    return found
