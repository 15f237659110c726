"""The wall around pages that a model chooses: what may be asked for, and what of the answer comes in."""
