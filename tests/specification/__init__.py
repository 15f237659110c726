"""The specification, section by section: what it states of this tool, and the run that proves it."""
