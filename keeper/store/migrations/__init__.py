"""Alembic's scripts; ``keeper.store.opening`` runs them when a file's revision differs."""
