"""Tables of the journal and of everything else worth remembering, as SQLAlchemy Core sees them.

The migrations create them; a test compares both. Wei and token amounts are decimal TEXT, as SQLite's integers end at
2**63; block numbers, nonces, gas units and unix times are INTEGER. Rows of the
journal are never deleted.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

__all__ = [
    "META",
    "REVISION",
    "REVISIONS",
    "Big",
    "attempts",
    "decisions",
    "flags",
    "gas_samples",
    "harvests",
    "intents",
    "latest_decisions",
    "latest_observations",
    "leases",
    "ledger",
    "meta",
    "receipts",
    "samples",
]

#: Every revision this keeper knows, oldest first; the last is what it writes.
REVISIONS: Final = ("0001", "0002", "0003", "0004")

#: The revision of the tables below.
REVISION: Final = REVISIONS[-1]


class Big(sa.TypeDecorator[int]):
    """An integer without bounds, as decimal text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Write digits."""
        return None if value is None else str(value)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> int | None:  # noqa: ARG002
        """Read digits."""
        return None if value is None else int(value)


META: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *more: Any, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, *more, nullable=null)


def _integer(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=null)


def _big(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Big, nullable=null)


def _seq() -> sa.Column[Any]:
    """Order of arrival; survives VACUUM, unlike the hidden rowid."""
    return sa.Column("seq", sa.Integer, primary_key=True)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, primary_key=True, nullable=False)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


def _among(column: str, *words: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} IN ({', '.join(repr(word) for word in words)})", name=column)


def _table(name: str, *parts: Any) -> sa.Table:
    return sa.Table(name, META, *parts, sqlite_strict=True)


#: Facts about the file itself: journal id, when and by which keeper it was made.
meta = _table("meta", _key("key"), _text("value"))

#: One row per compound, with its plan; ``state`` goes open -> done or failed, and back to open on a reorg.
harvests = _table(
    "harvests",
    _seq(),
    _text("id"),
    _text("position_id"),
    _text("chain"),
    _text("owner"),
    _text("state"),
    _text("plan_id"),
    _text("plan"),
    _integer("decided_block"),
    _integer("started_at"),
    _big("predicted_reward_usd"),
    _big("predicted_cost_usd"),
    _integer("predicted_gas"),
    _integer("finished_at", null=True),
    _text("received"),
    _text("compounded", null=True),
    _integer("gas_used"),
    _big("cost_wei"),
    _big("received_usd"),
    _big("compounded_usd"),
    _big("cost_usd"),
    _text("error"),
    _text("deposited", null=True),
    sa.UniqueConstraint("id"),
    _among("state", "open", "done", "failed", "cancelled"),
)
sa.Index("ix_harvests_position_id_seq", harvests.c.position_id, harvests.c.seq)
sa.Index("ix_harvests_open", harvests.c.chain, harvests.c.owner, sqlite_where=harvests.c.state == "open")

#: One row per leg, or per nonce that is only filled (no harvest). A nonce belongs to one intent for ever: there is no
#: second row for (chain_id, sender, nonce). ``final``: settled, and no reorg can reach it any more.
intents = _table(
    "intents",
    _seq(),
    _text("id"),
    _text("key"),
    _text("harvest_id", sa.ForeignKey("harvests.id"), null=True),
    _integer("leg_index"),
    _text("chain"),
    _integer("chain_id"),
    _text("sender"),
    _text("kind"),
    _text("label"),
    _text("to_address"),
    sa.Column("data", sa.LargeBinary, nullable=False),
    _big("value"),
    _text("state"),
    _integer("nonce", null=True),
    _integer("created_at"),
    _flag("final"),
    sa.UniqueConstraint("id"),
    sa.UniqueConstraint("key"),
    sa.UniqueConstraint("chain_id", "sender", "nonce"),
    _among("state", "planned", "signed", "broadcast", "mined", "confirmed", "reverted", "cancelled"),
    sa.CheckConstraint("(nonce IS NULL) <= (state IN ('planned', 'cancelled'))", name="nonce_once_signed"),
    sa.CheckConstraint("harvest_id IS NOT NULL OR (kind = 'cancel' AND key LIKE 'gap:%')", name="gap"),
    sa.CheckConstraint("final = 0 OR (final = 1 AND state IN ('confirmed', 'reverted', 'cancelled'))", name="final"),
)
sa.Index("ix_intents_harvest_id_leg_index", intents.c.harvest_id, intents.c.leg_index)
sa.Index("ix_intents_watched", intents.c.chain, intents.c.sender, sqlite_where=intents.c.final == 0)

#: One row per signed transaction; hash, nonce, raw bytes and purpose never change.
attempts = _table(
    "attempts",
    _seq(),
    _text("hash"),
    _text("intent_id", sa.ForeignKey("intents.id")),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    _integer("nonce"),
    _integer("gas"),
    _big("max_fee_wei"),
    _big("max_tip_wei"),
    _text("state"),
    _integer("signed_block"),
    _big("max_fee_usd"),
    _integer("created_at"),
    sa.Column("purpose", sa.Text, nullable=False, server_default=sa.text("'work'")),
    sa.UniqueConstraint("hash"),
    _among("state", "signed", "broadcast", "mined", "replaced"),
    _among("purpose", "work", "cancel"),
)
sa.Index("ix_attempts_intent_id", attempts.c.intent_id)
sa.Index("uq_attempts_one_unsent", attempts.c.intent_id, unique=True, sqlite_where=attempts.c.state == "signed")

#: One row per receipt seen; a reorg marks it orphaned, and at most one row per intent is not. A final one stays so.
receipts = _table(
    "receipts",
    _seq(),
    _text("intent_id", sa.ForeignKey("intents.id")),
    _text("tx_hash", sa.ForeignKey("attempts.hash")),
    _integer("block_number"),
    _text("block_hash"),
    _integer("status"),
    _integer("gas_used"),
    _big("effective_gas_price_wei"),
    _big("l1_fee_wei"),
    _text("transfers"),
    _big("cost_usd"),
    _integer("recorded_at"),
    _flag("orphaned"),
    _flag("final"),
    _text("nfts", null=True),
    _text("events", null=True),
    sa.CheckConstraint("status IN (0, 1)", name="status"),
    sa.CheckConstraint("final IN (0, 1) AND final + orphaned < 2", name="final"),
)
sa.Index("uq_receipts_one_live", receipts.c.intent_id, unique=True, sqlite_where=receipts.c.orphaned == 0)
sa.Index("ix_receipts_recorded_at", receipts.c.recorded_at)

#: One row per token movement; a reorg marks it reversed, and a movement stands once.
ledger = _table(
    "ledger",
    _seq(),
    _text("harvest_id", sa.ForeignKey("harvests.id")),
    _text("tx_hash"),
    _integer("log_index"),
    _integer("sign"),
    _integer("block_number"),
    _integer("timestamp"),
    _text("kind"),
    _text("chain"),
    _text("token"),
    _text("symbol"),
    _integer("decimals"),
    _big("raw"),
    _big("value_usd", null=True),
    _flag("reversed"),
    sa.CheckConstraint("sign IN (-1, 0, 1)", name="sign"),
)
sa.Index(
    "uq_ledger_movement",
    ledger.c.tx_hash,
    ledger.c.log_index,
    ledger.c.sign,
    unique=True,
    sqlite_where=ledger.c.reversed == 0,
)
sa.Index("ix_ledger_harvest_id", ledger.c.harvest_id)
sa.Index("ix_ledger_timestamp", ledger.c.timestamp)

#: Decisions that changed something.
decisions = _table(
    "decisions",
    _seq(),
    _text("position_id"),
    _integer("block_number"),
    _integer("timestamp"),
    _text("verdict"),
    _text("code"),
    _text("body"),
)
sa.Index("ix_decisions_position_id_seq", decisions.c.position_id, decisions.c.seq)

#: The last decision of every position with its fresh numbers, and since when its verdict stands.
latest_decisions = _table(
    "latest_decisions", _key("position_id"), _text("verdict"), _text("code"), _integer("since"), _text("body")
)

#: History of what was seen and what it meant, thinned as it ages; packed (``keeper.store.packing``).
samples = _table(
    "samples",
    _seq(),
    _text("position_id"),
    _integer("block_number"),
    _integer("timestamp"),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
sa.Index("ix_samples_position_id_timestamp", samples.c.position_id, samples.c.timestamp)

#: The last observation of every position, and when one was last kept as history.
latest_observations = _table("latest_observations", _key("position_id"), _integer("kept_at"), _text("body"))

#: Price of gas over time, one row an hour.
gas_samples = _table(
    "gas_samples",
    _key("chain"),
    sa.Column("block_number", sa.Integer, primary_key=True, nullable=False),
    _integer("timestamp"),
    _big("base_fee_wei"),
    _big("tip_wei"),
)

#: Who owns a lane until when; the token only ever grows.
leases = _table("leases", _key("lane"), _text("holder"), _integer("token"), _integer("expires_at"))

#: Small facts that must survive a restart.
flags = _table("flags", _key("key"), _text("value"), _integer("updated_at"))
