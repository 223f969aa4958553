"""The usual ways of sending a transaction from Python, and keeper, against the same faults, with the chain as judge."""
