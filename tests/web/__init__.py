"""What is fetched for a model: the URLs it may choose, and a world in which everybody who answers is hostile."""
