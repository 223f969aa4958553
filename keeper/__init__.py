"""keeper: compounds DeFi positions when, and only when, it pays."""

__all__ = ["__version__"]

#: Version of the package; the single source for packaging and ``keeper --version``.
__version__ = "0.4.0"
