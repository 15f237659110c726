"""Stands for `python -m pip` where the wheels are made up: copies them from a folder, or fails the way pip does.

Run as `fake_pip.py WHEELHOUSE download ... --dest DIR NAME==VERSION`. Every call is noted in `WHEELHOUSE/calls`; where
`WHEELHOUSE/hang` exists, the call never ends.
"""

import os
import shutil
import sys
import time
from pathlib import Path

wheelhouse, command = Path(sys.argv[1]), sys.argv[2:]
assert command[0] == "download"
assert {"--no-deps", "--only-binary", "--no-cache-dir"} <= set(command)
name = command[-1].partition("==")[0]
with (wheelhouse / "calls").open("a", encoding="utf-8") as calls:
    calls.write(f"{os.getpid()} {name}\n")
while (wheelhouse / "hang").exists():
    time.sleep(0.05)
wheel = wheelhouse / f"{name}.whl"
if not wheel.exists():
    sys.exit(f"ERROR: No matching distribution found for {command[-1]}")
shutil.copy(wheel, command[command.index("--dest") + 1])
