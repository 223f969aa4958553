"""One file per arrow from an observation to a recorded harvest. Knows ports, never an adapter by name."""
