"""Compares what is drawn with a reviewed file, or writes the file: `FUSION_UPDATE_SNAPSHOTS=1 pytest tests/sinks`."""

import os
from pathlib import Path

_UPDATE = os.environ.get("FUSION_UPDATE_SNAPSHOTS") == "1"  # read here: no test sees a FUSION_ variable
_FOLDER = Path(__file__).parent.parent / "snapshots" / "screen"


def the_same(name: str, drawn: str) -> None:
    """Compare a drawing with its snapshot."""
    path = _FOLDER / f"{name}.txt"
    if _UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(drawn, "utf-8")
    kept = path.read_text("utf-8") if path.exists() else ""
    assert drawn == kept, f"{path.name} is stale: FUSION_UPDATE_SNAPSHOTS=1 pytest tests/sinks"
