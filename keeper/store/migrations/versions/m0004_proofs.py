"""What receipts say beside ERC-20 transfers, and deposits of several tokens: NFT ranges, and harvests for everybody."""

from __future__ import annotations

from typing import Final

from alembic import op

revision: Final = "0004"
down_revision: Final = "0003"

STATEMENTS: Final = (
    "ALTER TABLE harvests ADD COLUMN deposited TEXT",
    "ALTER TABLE receipts ADD COLUMN nfts TEXT",
    "ALTER TABLE receipts ADD COLUMN events TEXT",
)


def upgrade() -> None:
    """Change the tables in the one transaction that the caller began."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Refuse: a deposit of several tokens has no place in the earlier tables."""
    raise NotImplementedError("an earlier keeper cannot read what this one wrote; restore the backup beside the file")
