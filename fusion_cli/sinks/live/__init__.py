"""The live view: what a run looks like on a terminal while it happens, and the record that it leaves there."""
