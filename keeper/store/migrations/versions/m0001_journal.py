"""The first journal: compounds, legs, signed transactions, receipts, ledger, decisions, history, leases.

A migration is frozen once released: it names no table of ``schema.py``, so that a later change there leaves it alone.
The triggers keep the table of transitions against every tool that opens the file, not only against keeper.
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision: Final = "0001"
down_revision: Final = None

#: Tables and their indexes.
TABLES: Final = (
    """
CREATE TABLE meta (
    "key" TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT pk_meta PRIMARY KEY ("key")
) STRICT
""",
    """
CREATE TABLE harvests (
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    position_id TEXT NOT NULL,
    chain TEXT NOT NULL,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    "plan" TEXT NOT NULL,
    decided_block INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    predicted_reward_usd TEXT NOT NULL,
    predicted_cost_usd TEXT NOT NULL,
    predicted_gas INTEGER NOT NULL,
    finished_at INTEGER,
    received TEXT NOT NULL,
    compounded TEXT,
    gas_used INTEGER NOT NULL,
    cost_wei TEXT NOT NULL,
    received_usd TEXT NOT NULL,
    compounded_usd TEXT NOT NULL,
    cost_usd TEXT NOT NULL,
    error TEXT NOT NULL,
    CONSTRAINT pk_harvests PRIMARY KEY (seq),
    CONSTRAINT uq_harvests_id UNIQUE (id),
    CONSTRAINT ck_harvests_state CHECK (state IN ('open', 'done', 'failed', 'cancelled'))
) STRICT
""",
    "CREATE INDEX ix_harvests_open ON harvests (chain, owner) WHERE state = 'open'",
    "CREATE INDEX ix_harvests_position_id_seq ON harvests (position_id, seq)",
    """
CREATE TABLE intents (
    id TEXT NOT NULL,
    "key" TEXT NOT NULL,
    harvest_id TEXT NOT NULL,
    leg_index INTEGER NOT NULL,
    chain TEXT NOT NULL,
    chain_id INTEGER NOT NULL,
    sender TEXT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    to_address TEXT NOT NULL,
    data BLOB NOT NULL,
    value TEXT NOT NULL,
    state TEXT NOT NULL,
    nonce INTEGER,
    created_at INTEGER NOT NULL,
    CONSTRAINT pk_intents PRIMARY KEY (id),
    CONSTRAINT uq_intents_key UNIQUE ("key"),
    CONSTRAINT uq_intents_chain_id_sender_nonce UNIQUE (chain_id, sender, nonce),
    CONSTRAINT ck_intents_state CHECK (state IN (
        'planned', 'signed', 'broadcast', 'mined', 'confirmed', 'reverted', 'cancelled'
    )),
    CONSTRAINT ck_intents_nonce_once_signed CHECK ((nonce IS NULL) <= (state IN ('planned', 'cancelled'))),
    CONSTRAINT fk_intents_harvest_id FOREIGN KEY(harvest_id) REFERENCES harvests (id)
) STRICT
""",
    "CREATE INDEX ix_intents_harvest_id_leg_index ON intents (harvest_id, leg_index)",
    "CREATE INDEX ix_intents_in_flight ON intents (chain, sender) WHERE state IN ('signed', 'broadcast')",
    """
CREATE TABLE attempts (
    seq INTEGER NOT NULL,
    hash TEXT NOT NULL,
    intent_id TEXT NOT NULL,
    raw BLOB NOT NULL,
    nonce INTEGER NOT NULL,
    gas INTEGER NOT NULL,
    max_fee_wei TEXT NOT NULL,
    max_tip_wei TEXT NOT NULL,
    state TEXT NOT NULL,
    signed_block INTEGER NOT NULL,
    max_fee_usd TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CONSTRAINT pk_attempts PRIMARY KEY (seq),
    CONSTRAINT uq_attempts_hash UNIQUE (hash),
    CONSTRAINT ck_attempts_state CHECK (state IN ('signed', 'broadcast', 'mined', 'replaced')),
    CONSTRAINT fk_attempts_intent_id FOREIGN KEY(intent_id) REFERENCES intents (id)
) STRICT
""",
    "CREATE INDEX ix_attempts_intent_id ON attempts (intent_id)",
    "CREATE UNIQUE INDEX uq_attempts_one_unsent ON attempts (intent_id) WHERE state = 'signed'",
    """
CREATE TABLE receipts (
    seq INTEGER NOT NULL,
    intent_id TEXT NOT NULL,
    tx_hash TEXT NOT NULL,
    block_number INTEGER NOT NULL,
    block_hash TEXT NOT NULL,
    status INTEGER NOT NULL,
    gas_used INTEGER NOT NULL,
    effective_gas_price_wei TEXT NOT NULL,
    l1_fee_wei TEXT NOT NULL,
    transfers TEXT NOT NULL,
    cost_usd TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    orphaned INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT pk_receipts PRIMARY KEY (seq),
    CONSTRAINT ck_receipts_status CHECK (status IN (0, 1)),
    CONSTRAINT fk_receipts_intent_id FOREIGN KEY(intent_id) REFERENCES intents (id),
    CONSTRAINT fk_receipts_tx_hash FOREIGN KEY(tx_hash) REFERENCES attempts (hash)
) STRICT
""",
    "CREATE INDEX ix_receipts_recorded_at ON receipts (recorded_at)",
    "CREATE UNIQUE INDEX uq_receipts_one_live ON receipts (intent_id) WHERE orphaned = 0",
    """
CREATE TABLE ledger (
    seq INTEGER NOT NULL,
    harvest_id TEXT NOT NULL,
    tx_hash TEXT NOT NULL,
    log_index INTEGER NOT NULL,
    sign INTEGER NOT NULL,
    block_number INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    kind TEXT NOT NULL,
    chain TEXT NOT NULL,
    token TEXT NOT NULL,
    symbol TEXT NOT NULL,
    decimals INTEGER NOT NULL,
    raw TEXT NOT NULL,
    value_usd TEXT,
    reversed INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT pk_ledger PRIMARY KEY (seq),
    CONSTRAINT ck_ledger_sign CHECK (sign IN (-1, 0, 1)),
    CONSTRAINT fk_ledger_harvest_id FOREIGN KEY(harvest_id) REFERENCES harvests (id)
) STRICT
""",
    "CREATE INDEX ix_ledger_harvest_id ON ledger (harvest_id)",
    "CREATE INDEX ix_ledger_timestamp ON ledger (timestamp)",
    "CREATE UNIQUE INDEX uq_ledger_movement ON ledger (tx_hash, log_index, sign) WHERE reversed = 0",
    """
CREATE TABLE decisions (
    seq INTEGER NOT NULL,
    position_id TEXT NOT NULL,
    block_number INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    code TEXT NOT NULL,
    body TEXT NOT NULL,
    CONSTRAINT pk_decisions PRIMARY KEY (seq)
) STRICT
""",
    "CREATE INDEX ix_decisions_position_id_seq ON decisions (position_id, seq)",
    """
CREATE TABLE latest_decisions (
    position_id TEXT NOT NULL,
    verdict TEXT NOT NULL,
    code TEXT NOT NULL,
    since INTEGER NOT NULL,
    body TEXT NOT NULL,
    CONSTRAINT pk_latest_decisions PRIMARY KEY (position_id)
) STRICT
""",
    """
CREATE TABLE observations (
    seq INTEGER NOT NULL,
    position_id TEXT NOT NULL,
    block_number INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    reward_usd TEXT NOT NULL,
    gas_price_wei TEXT NOT NULL,
    body TEXT NOT NULL,
    CONSTRAINT pk_observations PRIMARY KEY (seq)
) STRICT
""",
    "CREATE INDEX ix_observations_position_id_timestamp ON observations (position_id, timestamp)",
    """
CREATE TABLE latest_observations (
    position_id TEXT NOT NULL,
    kept_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    CONSTRAINT pk_latest_observations PRIMARY KEY (position_id)
) STRICT
""",
    """
CREATE TABLE gas_samples (
    chain TEXT NOT NULL,
    block_number INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    base_fee_wei TEXT NOT NULL,
    tip_wei TEXT NOT NULL,
    CONSTRAINT pk_gas_samples PRIMARY KEY (chain, block_number)
) STRICT
""",
    """
CREATE TABLE leases (
    lane TEXT NOT NULL,
    holder TEXT NOT NULL,
    token INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    CONSTRAINT pk_leases PRIMARY KEY (lane)
) STRICT
""",
    """
CREATE TABLE flags (
    "key" TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    CONSTRAINT pk_flags PRIMARY KEY ("key")
) STRICT
""",
)

#: What no statement may do, whoever sends it.
TRIGGERS: Final = (
    """
CREATE TRIGGER intents_start BEFORE INSERT ON intents
WHEN NEW.state <> 'planned' OR NEW.nonce IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'an intent starts as planned, without a nonce'); END
""",
    """
CREATE TRIGGER intents_transition BEFORE UPDATE OF state ON intents
WHEN NEW.state <> OLD.state AND OLD.state || '>' || NEW.state NOT IN (
        'planned>cancelled',
        'planned>signed',
        'signed>broadcast',
        'signed>cancelled',
        'signed>mined',
        'broadcast>cancelled',
        'broadcast>mined',
        'mined>broadcast',
        'mined>cancelled',
        'mined>confirmed',
        'mined>reverted',
        'confirmed>broadcast',
        'reverted>broadcast'
)
BEGIN SELECT RAISE(ABORT, 'the table of transitions has no such row'); END
""",
    """
CREATE TRIGGER intents_fixed BEFORE UPDATE OF id, "key", harvest_id, chain_id, sender, to_address, data, value, nonce
ON intents
WHEN NEW.id <> OLD.id OR NEW."key" <> OLD."key" OR NEW.harvest_id <> OLD.harvest_id OR NEW.chain_id <> OLD.chain_id
    OR NEW.sender <> OLD.sender OR NEW.to_address <> OLD.to_address OR NEW.data <> OLD.data OR NEW.value <> OLD.value
    OR (OLD.nonce IS NOT NULL AND NEW.nonce IS NOT OLD.nonce)
BEGIN SELECT RAISE(ABORT, 'what an intent does, and its nonce, never change'); END
""",
    """
CREATE TRIGGER intents_kept BEFORE DELETE ON intents
BEGIN SELECT RAISE(ABORT, 'intents are never deleted'); END
""",
    """
CREATE TRIGGER attempts_start BEFORE INSERT ON attempts
WHEN NEW.state <> 'signed' OR (SELECT nonce FROM intents WHERE id = NEW.intent_id) IS NOT NEW.nonce
BEGIN SELECT RAISE(ABORT, 'an attempt starts as signed, with the nonce of its intent'); END
""",
    """
CREATE TRIGGER attempts_fixed BEFORE UPDATE OF hash, intent_id, raw, nonce ON attempts
WHEN NEW.hash <> OLD.hash OR NEW.intent_id <> OLD.intent_id OR NEW.raw <> OLD.raw OR NEW.nonce <> OLD.nonce
BEGIN SELECT RAISE(ABORT, 'a signed transaction never changes'); END
""",
    """
CREATE TRIGGER attempts_kept BEFORE DELETE ON attempts
BEGIN SELECT RAISE(ABORT, 'signed transactions are never deleted'); END
""",
    """
CREATE TRIGGER receipts_kept BEFORE DELETE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts are never deleted, only orphaned'); END
""",
    """
CREATE TRIGGER ledger_kept BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger rows are never deleted, only reversed'); END
""",
)


def upgrade() -> None:
    """Create everything."""
    for statement in (*TABLES, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: a journal is not thrown away by a command."""
    raise NotImplementedError("the first journal has nothing before it; to start anew, move the file away")
