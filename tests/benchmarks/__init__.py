"""How fast fusion is, beside what anyone could write in its place."""
