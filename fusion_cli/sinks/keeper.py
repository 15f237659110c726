"""Holds what the panel said, and writes it to a file when a run ends without delivering it.

The file is what `fusion judge` reads: nobody pays twice for the same panel.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fusion_cli import events


class Keeper:
    """Collect responses and analysis of one run.

    Args:
        folder: Where the file goes, made when it is needed.
        known: The object of an earlier run, whose panel is not asked again.
    """

    def __init__(self, folder: Path, known: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._folder = folder
        self._kept: dict[str, Any] = {"prompt": "", "responses": [], "failed_models": [], **known}
        self._is_new = not known

    def __call__(self, event: events.Event) -> None:
        """Take note of one event."""
        match event:
            case events.FusionInProgress(prompt):
                self._kept["prompt"] = prompt
            case events.PanelCompleted(label, model, content, citations=citations):
                row = {"model": model, "label": label, "content": content}
                sources = {"sources": [citation._asdict() for citation in citations]} if citations else {}
                self._kept["responses"].append(row | sources)
            case events.PanelFailed(label, model, error, _, partial):
                row = {"model": model, "label": label, "error": error}
                self._kept["failed_models"].append({**row, "partial": partial} if partial else row)
            case events.AnalysisCompleted(analysis, _, _, second_look):
                self._kept["analysis"] = analysis.model_dump()
                if second_look:
                    self._kept["second_look"] = second_look.model_dump()
                self._is_new = True
            case _:
                return

    def save(self) -> Path | None:
        """Write the file and return its path; None when there is nothing to keep.

        Raises:
            OSError: It cannot be written.
        """
        if not self._is_new or not self._kept["responses"]:
            return None
        from datetime import UTC, datetime

        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.urandom(3).hex()}.json"
        # Half a character, which UTF-8 cannot hold, becomes its escape: JSON can.
        data = json.dumps(self._kept, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return path
