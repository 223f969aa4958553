"""Price sources: one file is one way to learn what a token is worth in US dollars, without I/O."""
