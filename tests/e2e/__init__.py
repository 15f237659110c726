"""The installed command as a subprocess, against a real server and the real embedded model."""
