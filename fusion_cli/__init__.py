"""Multi-model deliberation on the command line."""

__version__ = "0.2.0"
