"""Sinks of the run's events; strangers to each other, all fed by `events.fan_out`."""
