"""The configuration: TOML files, .env, secret files and the environment in; checked settings with their origins out.

Start at ``keeper.config.loader.load``. This package is the only place that knows TOML and environment names.
"""
