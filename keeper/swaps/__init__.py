"""Exchanges: one file is one way to turn a reward into what is deposited, without I/O."""
