"""Ways of putting raw transactions on the wire, and what the answers mean."""
