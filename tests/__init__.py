"""The tests of fusion: pure, story, wire, sinks, commands, end to end, and of the house itself."""
