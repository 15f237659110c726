"""What the sources of weights promise beyond what `test_weights` sees of them."""

import shutil
import threading
from pathlib import Path

from fusion_cli.local.sources import largest_file


def test_folders_that_vanish_do_not_end_a_download(tmp_path: Path) -> None:
    """Folders that pip makes and removes while the progress is measured are no error."""
    (tmp_path / "wheel").write_bytes(b"x" * 1000)
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            (tmp_path / "a" / "b" / "c").mkdir(parents=True, exist_ok=True)
            shutil.rmtree(tmp_path / "a", ignore_errors=True)

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        sizes = {largest_file(tmp_path) for _ in range(3000)}
    finally:
        done.set()
        churning.join()
    assert sizes == {1000}
