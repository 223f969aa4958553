"""``keeper demo``: a month of real compounding on a local chain, played in about a minute."""
