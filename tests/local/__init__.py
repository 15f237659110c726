"""The embedded engine: weights that arrive, processes that end."""
