"""Multi-model deliberation on the command line."""

__version__ = "0.4.0"
