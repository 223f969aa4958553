"""Broken configs: each is refused with exit code 78, its file and key named, and a sentence that helps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from keeper.config.loader import load
from keeper.config.plugins import installed_catalogue
from keeper.config.strategy_references import unknown_policies
from keeper.errors import ConfigError

BASE = """
[keeper]
log_level = "info"

[chains.bnb]
rpc = ["$BNB_RPC"]

[signers.farm]
kind = "watch"
address = "0x2170Ed0880ac9A755fd29B2688956BD959F933F8"

[prices]
min_sources = 2

[limits]
per_tx = "$5"
per_day = "$20"

[web]
listen = "127.0.0.1:9464"

[[positions]]
id = "cake-bnb"
chain = "bnb"
protocol = "masterchef"
target = "0x73feaa1eE314F8c655E354234017bE2193C9E24E"
pid = 2
signer = "farm"
gas_top_up = { keep = "0.05", max_share = "10%" }
route = { kind = "uniswap-v2", router = "0x10ED43C718714eb63d5aA57B78B54704E256024E" }
"""
FRIEND = "0x" + "77" * 20
ENV = {"BNB_RPC": "https://bnb.example/secret-token"}
KEYSTORE = '[signers.key]\nkind = "keystore"\npath = "key.json"\n'
ENV_KEY = '[signers.raw]\nkind = "env-key"\nvariable = "RAW_KEY"\n'


class Case(NamedTuple):
    """One mistake: replace ``old`` by ``new`` (or append ``new``), and expect the key and these words."""

    name: str
    old: str
    new: str
    key: str
    says: str


def paying(to: str) -> tuple[str, str, str]:
    """A payout to an account."""
    return "pid = 2", f'pid = 2\npayout = {{ share = "20%", to = "{to}" }}', "positions[0].payout.to"


def topping(value: str) -> tuple[str, str]:
    """Another gas top-up."""
    return 'gas_top_up = { keep = "0.05", max_share = "10%" }', f"gas_top_up = {value}"


CASES = [
    # unknown keys and sections
    Case("section", "[limits]", "[limit]", "limit\n", 'did you mean "limits"?'),
    Case("key", "per_tx", "per_txn", "limits.per_txn", 'did you mean "per_tx"?'),
    Case("keeper key", "log_level", "loglevel", "keeper.loglevel", 'did you mean "log_level"?'),
    Case("web key", "listen =", "listens =", "web.listens", 'did you mean "listen"?'),
    Case("chain key", "rpc =", "rcp =", "chains.bnb.rcp", 'did you mean "rpc"?'),
    Case("position key", "signer =", "signr =", "positions[0].signr", 'did you mean "signer"?'),
    Case("protocol's key", "pid =", "pidd =", "positions[0].pidd", 'did you mean "pid"?'),
    Case("route key", "router =", "ruoter =", "positions[0].route.ruoter", 'did you mean "router"?'),
    Case("foreign key", "pid = 2", "pid = 2\ncolour = 1", "positions[0].colour", "masterchef takes pid"),
    Case("notify key", "", "[notify]\nemail = 1", "notify.email", "no such key"),
    # names that refer to nothing
    Case("protocol", '"masterchef"', '"mastercheff"', "positions[0].protocol", 'did you mean "masterchef"?'),
    Case("protocol, far off", '"masterchef"', '"zzz"', "positions[0].protocol", "`keeper protocols` lists all"),
    Case("chain, misspelt", 'chain = "bnb"', 'chain = "bnc"', "positions[0].chain", 'did you mean "bnb"?'),
    Case("chain, not set up", 'chain = "bnb"', 'chain = "base"', "positions[0].chain", "add [chains.base]"),
    Case("signer", 'signer = "farm"', 'signer = "fram"', "positions[0].signer", 'did you mean "farm"?'),
    Case("exchange", '"uniswap-v2"', '"uniswap-v22"', "positions[0].route.kind", 'did you mean "uniswap-v2"?'),
    Case("unknown chain", "[chains.bnb]", "[chains.mychain]", "chains.mychain", "give them here: chain_id"),
    Case("misspelt chain", "[chains.bnb]", "[chains.polygn]", "chains.polygn", 'did you mean "polygon"?'),
    Case("signer kind", '"watch"', '"wtach"', "signers.farm.kind", 'did you mean "watch"?'),
    Case("signer kind missing", 'kind = "watch"', "", "signers.farm.kind", "is required"),
    # missing things
    Case("id missing", 'id = "cake-bnb"', "", "positions[0].id", "is required"),
    Case(
        "target missing", 'target = "0x73feaa1eE314F8c655E354234017bE2193C9E24E"', "", "positions[0].target", "required"
    ),
    Case("pid missing", "pid = 2", "", "positions[0].pid", "is required by masterchef"),
    Case("no account", 'signer = "farm"', "", "positions[0]", "exactly one of signer"),
    Case(
        "two accounts",
        'signer = "farm"',
        'signer = "farm"\nowner = "0x2170ed0880ac9a755fd29b2688956bd959f933f8"',
        "positions[0]",
        "exactly one of signer",
    ),
    Case("rpc missing", 'rpc = ["$BNB_RPC"]', "", "chains.bnb.rpc", "position 'cake-bnb' is on this chain"),
    Case("variable missing", "$BNB_RPC", "$BNB_URL", "chains.bnb.rpc[0]", "environment variable BNB_URL is not set"),
    Case("braced variable", "$BNB_RPC", "https://${BNB_HOST}/x", "chains.bnb.rpc[0]", "BNB_HOST is not set"),
    # wrong types: nothing is guessed
    Case("int in quotes", "pid = 2", 'pid = "2"', "positions[0].pid", "whole number without quotes"),
    Case("float pid", "pid = 2", "pid = 2.0", "positions[0].pid", "whole number without quotes"),
    Case("negative pid", "pid = 2", "pid = -2", "positions[0].pid", "between 0 and"),
    Case("flag for int", "min_sources = 2", "min_sources = true", "prices.min_sources", "whole number"),
    Case("int for text", 'id = "cake-bnb"', "id = 7", "positions[0].id", "must be text in quotes"),
    Case("money as float", 'per_tx = "$5"', "per_tx = 5.5", "limits.per_tx", "in quotes to stay exact"),
    Case("money in words", '"$5"', '"five"', "limits.per_tx", "an amount of US dollars"),
    Case("money with commas", '"$20"', '"$1,000"', "limits.per_day", "an amount of US dollars"),
    Case("web flag", "[web]", '[web]\nenabled = "yes"', "web.enabled", "true or false"),
    Case("rpc as text", 'rpc = ["$BNB_RPC"]', 'rpc = "$BNB_RPC"', "chains.bnb.rpc", "must be an array"),
    Case("rpc as number", 'rpc = ["$BNB_RPC"]', "rpc = [5]", "chains.bnb.rpc[0]", "must be text in quotes"),
    Case("section as text", "[web]\nlisten = ", "[notify]\n[[web]]\nx = ", "web", "must be a table"),
    Case("positions as table", "[[positions]]", "[positions]", "positions", "two brackets"),
    Case("route as text", "route = {", 'route = "uniswap"\nx = {', "positions[0].route", "must be a table"),
    # addresses
    Case(
        "checksum",
        "0x73feaa1eE314F8c655E354234017bE2193C9E24E",
        "0x73feaa1eE314F8c655E354234017bE2193C9E24e",
        "positions[0].target",
        "write 0x73feaa1eE314F8c655E354234017bE2193C9E24E",
    ),
    Case("short address", "0x10ED43C7", "0x10ED43", "positions[0].route.router", "0x and 40 hex digits"),
    Case("address as int", '"0x2170Ed0880ac9A755fd29B2688956BD959F933F8"', "7", "signers.farm.address", "in quotes"),
    Case(
        "zero address",
        "0x73feaa1eE314F8c655E354234017bE2193C9E24E",
        "0x" + "0" * 40,
        "positions[0].target",
        "zero address",
    ),
    # absurd numbers
    Case("per_tx above per_day", '"$5"', '"$50"', "limits", "per_tx is above per_day"),
    Case("free transactions", '"$5"', '"$0"', "limits.per_tx", "must be more than $0"),
    Case("absurd limit", '"$20"', '"$10000000"', "limits.per_day", "must be at most $1000000"),
    Case("negative limit", '"$5"', '"-5"', "limits.per_tx", "an amount of US dollars"),
    Case("no sources", "min_sources = 2", "min_sources = 0", "prices.min_sources", "must be at least 1"),
    Case(
        "huge slippage", "pid = 2", 'pid = 2\nmax_slippage = "50%"', "positions[0].max_slippage", "at most 1000 basis"
    ),
    Case("no slippage", "pid = 2", "pid = 2\nmax_slippage = 0", "positions[0].max_slippage", "at least 1 basis"),
    Case("risk factor", "pid = 2", 'pid = 2\nrisk_factor = "1.5"', "positions[0].risk_factor", 'between "0.5"'),
    Case(
        "risk as float", "pid = 2", "pid = 2\nrisk_factor = 0.9", "positions[0].risk_factor", "in quotes to stay exact"
    ),
    Case("payback", "pid = 2", 'pid = 2\npayback = "1h"', "positions[0].payback", "must be at least 1 days"),
    Case("duration", "pid = 2", 'pid = 2\nmin_interval = "soon"', "positions[0].min_interval", 'a time such as "30d"'),
    Case("drift", "pid = 2", 'pid = 2\nreward_drift = "much"', "positions[0].reward_drift", "a percentage such as"),
    Case("poll", "rpc =", "poll_gas_seconds = 0\nrpc =", "chains.bnb.poll_gas_seconds", "must be at least 1"),
    Case("tip cap", "rpc =", 'tip_cap_gwei = "0.01"\nrpc =', "chains.bnb.tip_cap_gwei", "below the chain's tip_floor"),
    Case("below one wei", "rpc =", 'tip_cap_gwei = "0.0000000001"\nrpc =', "chains.bnb.tip_cap_gwei", "below one wei"),
    Case("drain", "[keeper]", '[keeper]\ndrain_timeout = "2d"', "keeper.drain_timeout", "at most 3600 seconds"),
    # sending
    Case("quorum of none", "rpc =", "quorum = 0\nrpc =", "chains.bnb.quorum", "must be at least 1"),
    Case("quorum too large", "rpc =", "quorum = 2\nrpc =", "chains.bnb.quorum = 2", "because rpc has 1"),
    Case("quorum in quotes", "rpc =", 'quorum = "1"\nrpc =', "chains.bnb.quorum", "whole number without quotes"),
    Case("in flight", "rpc =", "max_in_flight = 65\nrpc =", "chains.bnb.max_in_flight", "must be at most 64"),
    Case("none in flight", "rpc =", "max_in_flight = 0\nrpc =", "chains.bnb.max_in_flight", "must be at least 1"),
    Case("submit", "rpc =", 'submit = "privat"\nrpc =', "chains.bnb.submit", 'did you mean "private"?'),
    Case(
        "no relay", "rpc =", 'submit = "private"\nrpc =', "chains.bnb.private_rpc", 'is required by submit = "private"'
    ),
    Case(
        "no relay before public",
        "rpc =",
        'submit = "private_then_public"\nrpc =',
        "chains.bnb.private_rpc",
        "is required by submit",
    ),
    Case(
        "relay without variable",
        "rpc =",
        'private_rpc = ["$RELAY"]\nrpc =',
        "chains.bnb.private_rpc[0]",
        "RELAY is not",
    ),
    Case(
        "relay scheme",
        "rpc =",
        'private_rpc = ["secret-token"]\nrpc =',
        "chains.bnb.private_rpc[0]",
        "http:// or https:",
    ),
    Case(
        "relay is public",
        "rpc =",
        'private_rpc = ["https://a.example/x", "$BNB_RPC"]\nrpc =',
        "chains.bnb.private_rpc[1]",
        "stands in rpc too",
    ),
    Case(
        "relay twice",
        "rpc =",
        'private_rpc = ["https://a.example/secret-token", "https://a.example/secret-token"]\nrpc =',
        "chains.bnb",
        "private_rpc names the same endpoint twice",
    ),
    Case("private blocks", "rpc =", "private_blocks = 0\nrpc =", "chains.bnb.private_blocks", "must be at least 1"),
    Case("finality", "rpc =", 'finality = "tags"\nrpc =', "chains.bnb.finality", 'did you mean "tag"?'),
    Case("finality blocks", "rpc =", "finality_blocks = 0\nrpc =", "chains.bnb.finality_blocks", "must be at least 1"),
    Case(
        "final before it counts",
        "rpc =",
        "finality_blocks = 3\nrpc =",
        "chains.bnb.finality_blocks = 3",
        "below the chain's confirmations (15)",
    ),
    Case("errors as text", "rpc =", 'errors = "x"\nrpc =', "chains.bnb.errors", "must be a table"),
    Case(
        "errors key", "", '[chains.bnb.errors]\nrefuse = ["x"]', "chains.bnb.errors.refuse", 'did you mean "refused"?'
    ),
    Case("error words as text", "", '[chains.bnb.errors]\nrefused = "quota"', "chains.bnb.errors.refused", "an array"),
    Case("short words", "", '[chains.bnb.errors]\nrefused = ["no"]', "chains.bnb.errors.refused[0]", "6 to 200"),
    Case("empty words", "", '[chains.bnb.errors]\nmaybe = [""]', "chains.bnb.errors.maybe[0]", "6 to 200"),
    Case(
        "two meanings",
        "",
        '[chains.bnb.errors]\nknown = ["seen it before"]\nrefused = ["Seen it  before"]',
        "chains.bnb.errors",
        'gives "seen it before" two meanings, known and refused',
    ),
    Case("failures", "[limits]", "[limits]\nmax_failures_per_day = 0", "limits.max_failures_per_day", "at least 1"),
    Case("half a failure", "[limits]", "[limits]\nmax_failures_per_day = 1.5", "max_failures_per_day", "whole number"),
    Case("free cancel", "[limits]", '[limits]\ncancel_max = "$0"', "limits.cancel_max", "must be more than $0"),
    Case("cancel as float", "[limits]", "[limits]\ncancel_max = 0.5", "limits.cancel_max", "in quotes to stay exact"),
    Case("deadline", "[limits]", '[limits]\ntx_deadline = "30s"', "limits.tx_deadline", "must be at least 1 minutes"),
    Case("late deadline", "[limits]", '[limits]\ntx_deadline = "30d"', "limits.tx_deadline", "at most 10080 minutes"),
    Case("runway", "[limits]", '[limits]\nmin_runway = "long"', "limits.min_runway", 'a time such as "30d"'),
    Case("long runway", "[limits]", '[limits]\nmin_runway = "400d"', "limits.min_runway", "must be at most 365 days"),
    Case("kill file", "[keeper]", '[keeper]\nkill_file = ""', "keeper.kill_file", "must be a path"),
    # strategy: every position's defaults, and each position's own
    Case("strategy key", "", '[strategy]\npolcy = "rule"', "strategy.polcy", 'did you mean "policy"?'),
    Case("strategy risk", "", '[strategy]\nrisk_factor = "0.2"', "strategy.risk_factor", 'between "0.5"'),
    Case("strategy payback", "", '[strategy]\npayback = "1h"', "strategy.payback", "must be at least 1 days"),
    Case("strategy slippage", "", '[strategy]\nmax_slippage = "20%"', "strategy.max_slippage", "at most 1000 basis"),
    Case("strategy interval", "", '[strategy]\nmin_interval = "2y"', "strategy.min_interval", 'a time such as "30d"'),
    Case("strategy policy", "", "[strategy]\npolicy = 5", "strategy.policy", "must be text in quotes"),
    Case("policy shape", "pid = 2", 'pid = 2\npolicy = "My Rule"', "positions[0].policy", "lower-case letters"),
    Case("max interval", "pid = 2", 'pid = 2\nmax_interval = "5m"', "positions[0].max_interval", "at least 1 hours"),
    Case(
        "max below min",
        "pid = 2",
        'pid = 2\nmin_interval = "2d"\nmax_interval = "1d"',
        "positions[0].max_interval",
        "is below min_interval (172800 seconds",
    ),
    Case("exit in words", "pid = 2", 'pid = 2\nexit = "soon"', "positions[0].exit", "must be a date such as"),
    Case("exit as number", "pid = 2", "pid = 2\nexit = 2027", "positions[0].exit = 2027", "must be a date such as"),
    Case("exit as clock", "pid = 2", "pid = 2\nexit = 07:30:00", "positions[0].exit", "must be a date such as"),
    Case("exit past", "pid = 2", "pid = 2\nexit = 2021-06-01", "positions[0].exit = 2021-06-01", "is long past"),
    Case("exit past text", "pid = 2", 'pid = 2\nexit = "2021-06-01"', "positions[0].exit", "or remove the key"),
    Case("exit in no month", "pid = 2", 'pid = 2\nexit = "2027-13-01"', "positions[0].exit", "no day of the calendar"),
    Case("exit far off", "pid = 2", "pid = 2\nexit = 9999-12-31", "positions[0].exit", "more than 50 years away"),
    Case("target yield", "pid = 2", 'pid = 2\ntarget_yield = "-1%/yr"', "positions[0].target_yield", "at least 0"),
    Case("target in words", "pid = 2", 'pid = 2\ntarget_yield = "4"', "positions[0].target_yield", "a percentage such"),
    Case("rate drift", "pid = 2", 'pid = 2\nrate_drift = "900%/yr"', "positions[0].rate_drift", "at most 50000 basis"),
    Case(
        "rewards end", "pid = 2", 'pid = 2\nrewards_end = "finl"', "positions[0].rewards_end", 'did you mean "final"?'
    ),
    Case(
        "no harvests",
        "pid = 2",
        "pid = 2\nmax_harvests_per_year = 0",
        "positions[0].max_harvests_per_year",
        "must be at least 1",
    ),
    Case("exits as float", "pid = 2", "pid = 2\nexits_per_year = 1.0", "positions[0].exits_per_year", "in quotes"),
    Case(
        "exits often", "pid = 2", 'pid = 2\nexits_per_year = "400"', "positions[0].exits_per_year", "at most 365 times"
    ),
    Case("lock premium", "pid = 2", 'pid = 2\nlock_premium = "high"', "positions[0].lock_premium", "a percentage such"),
    Case("exit cost", "pid = 2", 'pid = 2\nexit_cost = "60%"', "positions[0].exit_cost", "at most 5000 basis points"),
    Case("entry cost", "pid = 2", "pid = 2\nentry_cost = 0.1", "positions[0].entry_cost", "a percentage such as"),
    # what becomes of a harvest
    Case("payout as text", "pid = 2", 'pid = 2\npayout = "20%"', "positions[0].payout", "must be a table"),
    Case("payout to nobody", "pid = 2", 'pid = 2\npayout = { share = "20%" }', "positions[0].payout.to", "is required"),
    Case(
        "payout of nothing",
        "pid = 2",
        f'pid = 2\npayout = {{ share = 0, to = "{FRIEND}" }}',
        "positions[0].payout.share",
        "at least 1 basis",
    ),
    Case(
        "payout of all",
        "pid = 2",
        f'pid = 2\npayout = {{ share = "100%", to = "{FRIEND}" }}',
        "positions[0].payout.share",
        "at most 9900 basis points",
    ),
    Case("payout to zero", *paying("0x" + "0" * 40), "zero address"),
    Case("payout to the farm", *paying("0x73feaa1eE314F8c655E354234017bE2193C9E24E"), "is the position's target"),
    Case("payout to the owner", *paying("0x2170Ed0880ac9A755fd29B2688956BD959F933F8"), "is the owner's own account"),
    Case("payout to the router", *paying("0x10ED43C718714eb63d5aA57B78B54704E256024E"), "is its router"),
    Case("payout to a token", *paying("0xbb4CdB9CBd36B01bD1cBaEBF2De08d9173bc095c"), "is a token"),
    Case("payout to multicall", *paying("0xcA11bde05977b3631167028862bE2a173976CA11"), "a contract that keeper reads"),
    Case("payout key", "pid = 2", f'pid = 2\npayout = {{ shar = 5, to = "{FRIEND}" }}', "payout.shar", '"share"?'),
    Case("top-up as text", *topping('"0.05"'), "positions[0].gas_top_up", "must be a table"),
    Case("top-up of nothing", *topping('{ keep = "0" }'), "positions[0].gas_top_up.keep", "must be more than 0"),
    Case("top-up as float", *topping("{ keep = 0.05 }"), "positions[0].gas_top_up.keep", "in quotes to stay exact"),
    Case(
        "top-up of most",
        *topping('{ keep = "0.05", max_share = "60%" }'),
        "positions[0].gas_top_up.max_share",
        "at most 5000 basis points",
    ),
    Case("top-up key", *topping('{ kep = "0.05" }'), "positions[0].gas_top_up.kep", 'did you mean "keep"?'),
    Case(
        "top-up below the floor",
        "[limits]",
        '[limits]\nmin_native_balance = "0.05"',
        "positions[0].gas_top_up.keep",
        "is not above limits.min_native_balance",
    ),
    Case(
        "nothing left",
        "pid = 2",
        f'pid = 2\npayout = {{ share = "90%", to = "{FRIEND}" }}',
        "positions[0]",
        "together leave nothing to re-deposit",
    ),
    # batches, candidates, policies of one's own
    Case("no batch", "pid = 2", 'pid = 2\nbatch = "weekly"', "positions[0].batch", "add [batches.weekly]"),
    Case("batch shape", "pid = 2", 'pid = 2\nbatch = "a b"', "positions[0].batch", "lower-case letters"),
    Case("batch name", "", '[batches."a b"]\nshared_gas = 0', 'batches."a b"', "must be named with lower-case"),
    Case("batch cost", "", '[batches.b]\nshared_cost = "free"', "batches.b.shared_cost", "an amount of US dollars"),
    Case("batch gas", "", "[batches.b]\nshared_gas = -1", "batches.b.shared_gas", "must be at least 0"),
    Case("batch key", "", '[batches.b]\nshared_cst = "$1"', "batches.b.shared_cst", 'did you mean "shared_cost"?'),
    Case("batches as text", "[keeper]", 'batches = "b"\n[keeper]', "batches", "tables of the form [batches.NAME]"),
    Case("candidate", "pid = 2", 'pid = 2\ncandidates = ["cake"]', "positions[0].candidates[0]", "no such position"),
    Case(
        "candidate itself", "pid = 2", 'pid = 2\ncandidates = ["cake-bnb"]', "candidates[0]", "is this position itself"
    ),
    Case("candidates as text", "pid = 2", 'pid = 2\ncandidates = "x"', "positions[0].candidates", "an array"),
    Case("policy without command", "", '[policies.p]\ntimeout = "2s"', "policies.p.command", "is required"),
    Case("policy as a line", "", '[policies.p]\ncommand = "python3 p.py"', "policies.p.command", "must be an array"),
    Case("empty command", "", "[policies.p]\ncommand = []", "policies.p.command", "must not be empty"),
    Case("blank command", "", '[policies.p]\ncommand = [" "]', "policies.p", "must begin with a program"),
    Case("patient policy", "", '[policies.p]\ncommand = ["x"]\ntimeout = "5m"', "policies.p.timeout", "at most 60 sec"),
    Case("policy name", "", '[policies.MINE]\ncommand = ["x"]', "policies.MINE", "must be named with lower-case"),
    # history and report
    Case("short history", "[keeper]", '[keeper]\nhistory = "1h"', "keeper.history", "must be at least 1 days"),
    Case("currency", "", '[report]\ncurrency = "euro"', "report.currency", "three to six capital letters"),
    Case("no rate", "", '[report]\ncurrency = "EUR"', "report", "needs currency_chain and currency_feed"),
    Case("rate of the dollar", "", '[report]\ncurrency_chain = "bnb"', "report", "needs no currency_chain"),
    Case("feed shape", "", '[report]\ncurrency_feed = "EUR"', "report.currency_feed", "40 hex digits"),
    Case("rate age", "", '[report]\ncurrency_max_age = "1m"', "report.currency_max_age", "at least 1 hours"),
    Case(
        "rate's chain",
        "",
        f'[report]\ncurrency = "EUR"\ncurrency_feed = "{FRIEND}"\ncurrency_chain = "bmb"',
        "report.currency_chain",
        'did you mean "bnb"?',
    ),
    # choices
    Case("log level", '"info"', '"inof"', "keeper.log_level", 'did you mean "info"?'),
    Case("log format", "[keeper]", '[keeper]\nlog_format = "xml"', "keeper.log_format", "one of: auto, json, console"),
    Case("fee model", "rpc =", 'fee_model = "eip1558"\nrpc =', "chains.bnb.fee_model", 'did you mean "eip1559"?'),
    Case("listen", '"127.0.0.1:9464"', '"9464"', "web.listen", "must be host:port"),
    Case("port", ":9464", ":99999", "web.listen", "must be host:port"),
    Case("id shape", '"cake-bnb"', '"Cake BNB"', "positions[0].id", "lower-case letters"),
    # endpoints
    Case("scheme", "$BNB_RPC", "ws://bnb.example", "chains.bnb.rpc[0]", "http:// or https://"),
    Case("no host", "$BNB_RPC", "https://", "chains.bnb.rpc[0]", "with a host name"),
    Case("same twice", '"$BNB_RPC"', '"$BNB_RPC", "$BNB_RPC"', "chains.bnb", "same endpoint twice"),
    # doubles
    Case(
        "id twice",
        "",
        '[[positions]]\nid = "cake-bnb"\nchain = "bnb"\nprotocol = "masterchef"\npid = 3\nsigner = "farm"\n'
        'target = "0x73feaa1eE314F8c655E354234017bE2193C9E24E"',
        "positions[1].id",
        "two positions have this id",
    ),
    Case(
        "stake twice",
        "",
        '[[positions]]\nid = "again"\nchain = "bnb"\nprotocol = "masterchef"\npid = 2\nsigner = "farm"\n'
        'target = "0x73feaa1eE314F8c655E354234017bE2193C9E24E"',
        "positions[1]",
        "compounded twice",
    ),
    Case(
        "chain twice",
        "",
        '[chains.bsc]\nchain_id = 56\nnative_symbol = "BNB"\nblock_time_ms = 750\nfee_model = "legacy"\n'
        'wrapped_native = "0xbb4cdb9cbd36b01bd1cbaebf2de08d9173bc095c"\ntip_floor_gwei = 1\ntip_cap_gwei = 2\n'
        'l1_fee = "none"\nconfirmations = 1',
        "chains.bsc",
        "two names for one chain",
    ),
    # prices
    Case(
        "price kind",
        "",
        '[[prices.tokens]]\nchain = "bnb"\ntoken = "0x0e09fabb73bd3ade0a17ecc321fd13a19e81ce82"\n'
        'sources = [{ kind = "chainlnk" }]',
        "prices.tokens[0].sources[0].kind",
        'did you mean "chainlink"?',
    ),
    Case(
        "price key",
        "",
        '[[prices.tokens]]\nchain = "bnb"\ntoken = "0x0e09fabb73bd3ade0a17ecc321fd13a19e81ce82"\n'
        'sources = [{ kind = "fixed", usdd = "1" }]',
        "prices.tokens[0].sources[0].usdd",
        'did you mean "usd"?',
    ),
    Case(
        "price key missing",
        "",
        '[[prices.tokens]]\nchain = "bnb"\ntoken = "0x0e09fabb73bd3ade0a17ecc321fd13a19e81ce82"\n'
        'sources = [{ kind = "fixed" }]',
        "prices.tokens[0].sources[0].usd",
        "is required by fixed",
    ),
    Case(
        "price without kind",
        "",
        '[[prices.tokens]]\nchain = "bnb"\ntoken = "0x0e09fabb73bd3ade0a17ecc321fd13a19e81ce82"\nsources = [{ usd = "1" }]',
        "prices.tokens[0].sources[0].kind",
        "is required",
    ),
    Case(
        "no price source",
        "",
        '[[prices.tokens]]\nchain = "bnb"\ntoken = "0x0e09fabb73bd3ade0a17ecc321fd13a19e81ce82"\nsources = []',
        "prices.tokens[0].sources",
        "must not be empty",
    ),
    Case(
        "feed without age",
        "",
        '[chains.bnb.feeds."0x0e09fabb73bd3ade0a17ecc321fd13a19e81ce82"]\n'
        'feed = "0xb6064ed41d4f67e353768aa239ca86f4f73665a1"',
        "max_age_seconds",
        "is required",
    ),
    Case(
        "feed of nothing",
        "",
        '[chains.bnb.feeds."cake"]\nfeed = 1\nmax_age_seconds = 60',
        "chains.bnb.feeds.cake",
        "40 hex",
    ),
    # keys and passwords
    Case("keystore missing", "", KEYSTORE + 'password_env = "BNB_RPC"', "signers.key.path", "does not exist"),
    Case("no password", "", KEYSTORE, "signers.key", "exactly one of password_file and password_env"),
    Case("password variable", "", KEYSTORE + 'password_env = "NOT_SET"', "signers.key.password_env", "is not set"),
    Case(
        "password file",
        "",
        KEYSTORE + 'password_file = "nowhere"',
        "signers.key.password_file",
        "password file does not exist",
    ),
    Case("open password file", "", KEYSTORE + 'password_file = "open.txt"', "signers.key.password_file", "chmod 600"),
    Case("empty password", "", KEYSTORE + 'password_file = "empty.txt"', "signers.key.password_file", "is empty"),
    Case(
        "not a keystore",
        "",
        KEYSTORE.replace("key.json", "open.txt") + 'password_env = "BNB_RPC"',
        "signers.key.path",
        "v3",
    ),
    Case("raw key not allowed", "", ENV_KEY + "allow_env_key = false", "signers.raw", "allow_env_key = true"),
    Case("raw key flag missing", "", ENV_KEY, "signers.raw.allow_env_key", "is required"),
    Case("raw key not set", "", ENV_KEY + "allow_env_key = true", "signers.raw.variable", "is not set"),
    Case("watch without address", "", '[signers.w]\nkind = "watch"', "signers.w.address", "is required"),
]


def broken(case: Case) -> str:
    if not case.old:
        return BASE + "\n" + case.new + "\n"
    assert case.old in BASE, f"the case {case.name} replaces nothing"
    return BASE.replace(case.old, case.new)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text, mode in (("open.txt", "password", 0o644), ("empty.txt", "\n", 0o600)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    return tmp_path


CATALOGUE = installed_catalogue()


def problems_of(text: str, env: Mapping[str, str] = ENV) -> list[str]:
    Path("keeper.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load((), env, {}, CATALOGUE)
    return caught.value.problems


def test_base_is_right(place: Path) -> None:
    Path("keeper.toml").write_text(BASE)

    assert len(load((), ENV, {}, CATALOGUE).positions()) == 1


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_every_mistake_names_file_and_key_and_helps(case: Case, place: Path) -> None:
    problems = problems_of(broken(case))

    mine = [problem for problem in problems if case.says in problem]
    assert mine, f"nothing says {case.says!r}:\n" + "\n".join(problems)
    assert mine[0].startswith("keeper.toml: ")
    assert case.key in mine[0] + "\n"
    assert "secret-token" not in "\n".join(problems)


@pytest.mark.parametrize(
    ("new", "key", "says"),
    [
        ('[strategy]\npolicy = "ruel"', "strategy.policy", 'did you mean "rule"?'),
        ('[strategy]\npolicy = "mine"', "strategy.policy", "or add [policies.mine] with its command"),
        ('policy = "dally"', "positions[0].policy", 'did you mean "daily"?'),
        ('policy = "mne"\n[policies.mine]\ncommand = ["x"]', "positions[0].policy", 'did you mean "mine"?'),
        ('[policies.daily]\ncommand = ["x"]', "policies.daily", "is the name of a policy that keeper"),
        ('policy = "r>6"', "positions[0].policy", "no such policy"),
    ],
)
def test_policies_are_checked_where_their_names_are_known(new: str, key: str, says: str, place: Path) -> None:
    Path("keeper.toml").write_text(BASE + new)
    known = frozenset({"rule", "daily"})

    with pytest.raises(ConfigError) as caught:
        load((), ENV, {}, replace(CATALOGUE, policies=known))

    (problem,) = caught.value.problems
    assert problem.startswith(f"keeper.toml: {key}")
    assert says in problem
    unchecked = load((), ENV, {}, replace(CATALOGUE, policies=None))
    assert unknown_policies(unchecked, known) == [problem]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[limits\n", "line 1, column 8"),
        ('[limits]\nper_tx = "$5\n', "line 2"),
        ("a = 1\na = 2\n", "line 2"),
        ("a = zzz\n", "line 1, column 5"),
    ],
)
def test_toml_mistakes_name_line_and_column(text: str, says: str, place: Path) -> None:
    (problem,) = problems_of(text)

    assert problem.startswith("keeper.toml: ")
    assert says in problem
    assert "not valid TOML" in problem


def test_every_mistake_is_reported_not_only_the_first(place: Path) -> None:
    text = BASE.replace("per_tx", "per_txn").replace('"masterchef"', '"chef"').replace('"info"', '"loud"')

    problems = "\n".join(problems_of(text.replace("$BNB_RPC", "$NOPE")))

    for key in ("limits.per_txn", "positions[0].protocol", "keeper.log_level", "chains.bnb.rpc[0]"):
        assert key in problems


def test_missing_file_is_named(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        load([Path("nowhere.toml")], ENV)


def test_no_config_at_all_says_how_to_start(place: Path) -> None:
    with pytest.raises(ConfigError, match="keeper config init"):
        load((), {"XDG_CONFIG_HOME": str(place)})


def test_binary_file_is_refused(place: Path) -> None:
    Path("keeper.toml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match="not UTF-8"):
        load((), ENV)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("KEEPER_LIMITS__PER_TX", "lots", "KEEPER_LIMITS__PER_TX: limits.per_tx"),
        ("KEEPER_LIMIT__PER_TX", "$5", "did you mean KEEPER_LIMITS__...?"),
        ("KEEPER_LIMITS__PER_TXX", "$5", 'did you mean "per_tx"?'),
        ("KEEPER_POSITIONS__3__PID", "1", "entries 0 to 0"),
        ("KEEPER_LIMITS__PER_TX_FILE", "/nowhere/file", "cannot be read"),
        ("KEEPER_CHAINS__BNB__POLL_GAS_SECONDS", "often", "chains.bnb.poll_gas_seconds"),
    ],
)
def test_mistakes_in_the_environment_name_the_variable(name: str, value: str, says: str, place: Path) -> None:
    problems = problems_of(BASE, {**ENV, name: value})

    assert any(name in problem and says in problem for problem in problems), problems


@pytest.mark.parametrize(
    "secret",
    [
        'private_key = "hunter2hunter2"',
        'variable = "0x' + "ab" * 32 + '"',
        'mnemonic = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"',
        'password = "hunter2hunter2"',
        'password_env = "hunter2hunter2"',
        'path = "https://user:hunter2hunter2@host/x"',
    ],
)
def test_secrets_in_the_wrong_place_are_not_printed(secret: str, place: Path) -> None:
    text = BASE + f'[signers.bad]\nkind = "keystore"\n{secret}\n'

    problems = "\n".join(problems_of(text))

    for word in ("hunter2hunter2", "ab" * 32, "abandon abandon"):
        assert word not in problems


def test_the_command_exits_78_without_a_traceback(place: Path) -> None:
    cases = [CASES[0], CASES[10], next(case for case in CASES if case.name == "checksum")]
    for case in cases:
        Path("keeper.toml").write_text(broken(case))

        done = keeper("config", "check")

        assert done.returncode == 78
        assert done.stdout == ""
        assert done.stderr.startswith("config error: keeper.toml: ")
        assert case.says in done.stderr
        assert "Traceback" not in done.stderr


def keeper(*args: str, **env: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "keeper", *args],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **ENV, **env},
    )


def test_all_broken_configs_exit_78_through_the_command(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from keeper.cli import execute as run

    monkeypatch.setenv("BNB_RPC", ENV["BNB_RPC"])
    for case in CASES:
        Path("keeper.toml").write_text(broken(case))

        assert run(["config", "check"]) == 78, case.name
        captured = capsys.readouterr()
        assert captured.err.startswith("config error: keeper.toml: "), case.name
        assert "Traceback" not in captured.err
        assert captured.out == ""
