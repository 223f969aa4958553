"""What comes from outside the chain: fetched in the background, bounded, checked, and never trusted."""
