"""Which runs there are: the files in their folder, by the ids that they are called by.

Opens none of them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from fusion_cli.errors import FusionError
from fusion_cli.terminal import one_line

if TYPE_CHECKING:
    from pathlib import Path

ID = r"[0-9]{8}T[0-9]{9}-[0-9a-f]{6}"


def journals(folder: Path) -> list[Path]:
    """Return the files of the runs in a folder, the oldest first.

    Raises:
        FusionError: The folder cannot be read.
    """
    return [path for path in files_in(folder) if re.fullmatch(rf"{ID}\.jsonl", path.name)]


def files_in(folder: Path) -> list[Path]:
    """Return all that is in the folder of the runs, by name; nothing where there is no such folder yet.

    Raises:
        FusionError: It cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) and not os.path.lexists(folder):
            return []  # not even where a home that is no folder would have it
        said = f"{one_line(str(folder), 200)}, where runs are kept, cannot be read: {error.strerror or error}"
        raise FusionError(said, hint="Make it a folder that you may read.") from None
