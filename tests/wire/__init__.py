"""The wire: what travels between fusion and a model server, and a server that speaks it."""
