"""History with its numbers and prices: whole samples, packed, instead of observations alone."""

from __future__ import annotations

from typing import Final

from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"

#: What was observed is a sample without numbers. The price of gas that stood beside it is kept as such, one an hour.
STATEMENTS: Final = (
    """
CREATE TABLE samples (
    seq INTEGER NOT NULL,
    position_id TEXT NOT NULL,
    block_number INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    body BLOB NOT NULL,
    CONSTRAINT pk_samples PRIMARY KEY (seq)
) STRICT
""",
    """
INSERT INTO samples (seq, position_id, block_number, timestamp, body)
SELECT seq, position_id, block_number, timestamp, CAST(body AS BLOB) FROM observations ORDER BY seq
""",
    """
INSERT OR IGNORE INTO gas_samples (chain, block_number, timestamp, base_fee_wei, tip_wei)
SELECT chain, block_number, timestamp, gas_price_wei, '0' FROM (
    SELECT json_extract(body, '$.block.chain') AS chain, min(block_number) AS block_number, timestamp, gas_price_wei
    FROM observations WHERE json_valid(body) GROUP BY 1, timestamp / 3600
) WHERE chain IS NOT NULL
""",
    "DROP TABLE observations",
    "CREATE INDEX ix_samples_position_id_timestamp ON samples (position_id, timestamp)",
)


def upgrade() -> None:
    """Change the tables in the one transaction that the caller began."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: numbers and prices have no place in the earlier tables."""
    raise NotImplementedError("an earlier keeper cannot read what this one wrote; restore the backup beside the file")
