"""Cancels, nonces that are only filled, and what can no longer be reorganised.

``intents`` is made anew, as SQLite cannot let go of a NOT NULL. The foreign keys of its children are deferred while it
is away, so that the commit itself proves that no row lost its parent.
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"

#: Signed transactions and receipts say more than before; rows on record keep what they said.
COLUMNS: Final = (
    """
ALTER TABLE attempts ADD COLUMN purpose TEXT DEFAULT 'work' NOT NULL
    CONSTRAINT ck_attempts_purpose CHECK (purpose IN ('work', 'cancel'))
""",
    """
ALTER TABLE receipts ADD COLUMN final INTEGER DEFAULT 0 NOT NULL
    CONSTRAINT ck_receipts_final CHECK (final IN (0, 1) AND final + orphaned < 2)
""",
)

#: The new table of intents, filled from the old one.
INTENTS: Final = (
    "PRAGMA defer_foreign_keys=ON",
    "CREATE TABLE intents_before AS SELECT * FROM intents ORDER BY rowid",
    "DROP TABLE intents",
    """
CREATE TABLE intents (
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    "key" TEXT NOT NULL,
    harvest_id TEXT,
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
    final INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT pk_intents PRIMARY KEY (seq),
    CONSTRAINT uq_intents_id UNIQUE (id),
    CONSTRAINT uq_intents_key UNIQUE ("key"),
    CONSTRAINT uq_intents_chain_id_sender_nonce UNIQUE (chain_id, sender, nonce),
    CONSTRAINT ck_intents_state CHECK (state IN (
        'planned', 'signed', 'broadcast', 'mined', 'confirmed', 'reverted', 'cancelled'
    )),
    CONSTRAINT ck_intents_nonce_once_signed CHECK ((nonce IS NULL) <= (state IN ('planned', 'cancelled'))),
    CONSTRAINT ck_intents_gap CHECK (harvest_id IS NOT NULL OR (kind = 'cancel' AND "key" LIKE 'gap:%')),
    CONSTRAINT ck_intents_final CHECK (
        final = 0 OR (final = 1 AND state IN ('confirmed', 'reverted', 'cancelled'))
    ),
    CONSTRAINT fk_intents_harvest_id FOREIGN KEY(harvest_id) REFERENCES harvests (id)
) STRICT
""",
    """
INSERT INTO intents (id, "key", harvest_id, leg_index, chain, chain_id, sender, kind, label, to_address, data, value,
    state, nonce, created_at)
SELECT id, "key", harvest_id, leg_index, chain, chain_id, sender, kind, label, to_address, data, value,
    state, nonce, created_at
FROM intents_before ORDER BY rowid
""",
    "DROP TABLE intents_before",
    "CREATE INDEX ix_intents_harvest_id_leg_index ON intents (harvest_id, leg_index)",
    "CREATE INDEX ix_intents_watched ON intents (chain, sender) WHERE final = 0",
)

#: What never had a nonce, and what an earlier keeper settled more than a day ago: after a day no chain reorganises a
#: block, and the first look after an upgrade would otherwise ask for every receipt that there ever was.
FINAL: Final = (
    """
UPDATE receipts SET final = 1
WHERE orphaned = 0 AND recorded_at < CAST(strftime('%s', 'now') AS INTEGER) - 86400
    AND (SELECT state FROM intents WHERE id = receipts.intent_id) IN ('confirmed', 'reverted', 'cancelled')
""",
    "UPDATE intents SET final = 1 WHERE id IN (SELECT intent_id FROM receipts WHERE final = 1)",
    """
UPDATE intents SET final = 1
WHERE state = 'cancelled' AND (nonce IS NULL OR (
    created_at < CAST(strftime('%s', 'now') AS INTEGER) - 86400
    AND NOT EXISTS (SELECT 1 FROM receipts WHERE intent_id = intents.id AND orphaned = 0)
))
""",
)

#: What no statement may do, whoever sends it: those of ``intents`` went with the old table, one of ``attempts`` grows.
TRIGGERS: Final = (
    """
CREATE TRIGGER intents_start BEFORE INSERT ON intents
WHEN NEW.state <> 'planned' OR NEW.nonce IS NOT NULL OR NEW.final <> 0
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
        'reverted>broadcast',
        'cancelled>broadcast'
)
BEGIN SELECT RAISE(ABORT, 'the table of transitions has no such row'); END
""",
    """
CREATE TRIGGER intents_reopened BEFORE UPDATE OF state ON intents
WHEN NEW.state = 'broadcast' AND OLD.state = 'cancelled' AND OLD.nonce IS NULL
BEGIN SELECT RAISE(ABORT, 'what never had a nonce is not reopened'); END
""",
    """
CREATE TRIGGER intents_final BEFORE UPDATE OF state, final ON intents
WHEN (NEW.state <> OLD.state OR NEW.final < OLD.final)
    AND (OLD.final = 1 OR EXISTS (SELECT 1 FROM receipts WHERE intent_id = OLD.id AND final = 1))
BEGIN SELECT RAISE(ABORT, 'what is final stays as it is'); END
""",
    """
CREATE TRIGGER intents_fixed BEFORE UPDATE OF seq, id, "key", harvest_id, chain, chain_id, sender, kind, to_address,
    data, value, nonce
ON intents
WHEN NEW.seq <> OLD.seq OR NEW.id <> OLD.id OR NEW."key" <> OLD."key" OR NEW.harvest_id IS NOT OLD.harvest_id
    OR NEW.chain <> OLD.chain OR NEW.chain_id <> OLD.chain_id OR NEW.sender <> OLD.sender OR NEW.kind <> OLD.kind
    OR NEW.to_address <> OLD.to_address OR NEW.data <> OLD.data OR NEW.value <> OLD.value
    OR (OLD.nonce IS NOT NULL AND NEW.nonce IS NOT OLD.nonce)
BEGIN SELECT RAISE(ABORT, 'what an intent does, and its nonce, never change'); END
""",
    """
CREATE TRIGGER intents_kept BEFORE DELETE ON intents
BEGIN SELECT RAISE(ABORT, 'intents are never deleted'); END
""",
    "DROP TRIGGER attempts_fixed",
    """
CREATE TRIGGER attempts_fixed BEFORE UPDATE OF hash, intent_id, raw, nonce, purpose ON attempts
WHEN NEW.hash <> OLD.hash OR NEW.intent_id <> OLD.intent_id OR NEW.raw <> OLD.raw OR NEW.nonce <> OLD.nonce
    OR NEW.purpose <> OLD.purpose
BEGIN SELECT RAISE(ABORT, 'a signed transaction never changes'); END
""",
    """
CREATE TRIGGER receipts_start BEFORE INSERT ON receipts
WHEN NEW.final <> 0 OR EXISTS (SELECT 1 FROM receipts WHERE intent_id = NEW.intent_id AND final = 1)
BEGIN SELECT RAISE(ABORT, 'a receipt becomes final after its intent has settled'); END
""",
    """
CREATE TRIGGER receipts_final BEFORE UPDATE OF final, orphaned ON receipts
WHEN (OLD.final = 1 AND (NEW.final <> 1 OR NEW.orphaned <> 0)) OR (OLD.final = 0 AND NEW.final = 1
    AND (SELECT state FROM intents WHERE id = NEW.intent_id) NOT IN ('confirmed', 'reverted', 'cancelled'))
BEGIN SELECT RAISE(ABORT, 'a receipt is final once its intent has settled, and then for ever'); END
""",
    """
CREATE TRIGGER receipts_fixed BEFORE UPDATE OF intent_id, tx_hash, block_number, block_hash, status ON receipts
WHEN NEW.intent_id <> OLD.intent_id OR NEW.tx_hash <> OLD.tx_hash OR NEW.block_number <> OLD.block_number
    OR NEW.block_hash <> OLD.block_hash OR NEW.status <> OLD.status
BEGIN SELECT RAISE(ABORT, 'a receipt never changes, it is orphaned'); END
""",
)


def upgrade() -> None:
    """Change the tables in the one transaction that the caller began."""
    for statement in (*COLUMNS, *INTENTS, *FINAL, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: cancels and filled nonces have no place in the earlier tables."""
    raise NotImplementedError("an earlier keeper cannot read what this one wrote; restore the backup beside the file")
