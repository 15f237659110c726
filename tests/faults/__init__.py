"""The forty faults, each a promise kept by the installed command against a server in a process of its own."""
