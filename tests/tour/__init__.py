"""The README's tour: a recorded run, the pictures that are drawn of it, and the proof that both are true."""
