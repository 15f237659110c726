"""The story of a run, told to scripted models."""
