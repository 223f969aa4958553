"""What a transaction does between its signature and its finality, as pure rules: no clock, no chain, no file."""
