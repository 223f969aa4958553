"""Policies other than keeper's rule as the engine asks them: installed ones, and processes in any language."""
