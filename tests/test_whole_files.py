"""Promises of `whole_files`: a file is there whole or not at all, and nothing is replaced that takes nothing."""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fusion_cli import outputs
from fusion_cli.errors import FusionError, UsageError
from fusion_cli.whole_files import try_out, write_out

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions, links and pipes")


class TestWriteOut:
    """A file is there whole, or not at all."""

    @POSIX
    @pytest.mark.parametrize("force", [False, True])
    def test_it_is_there_for_others(self, tmp_path: Path, force: bool) -> None:
        """It has what was to be written and the permissions that the umask leaves; nothing lies beside it."""
        target = tmp_path / "out.md"
        before = os.umask(0o027)
        try:
            write_out(target, b"text", force=force)
        finally:
            os.umask(before)
        assert target.read_bytes() == b"text"
        assert target.stat().st_mode & 0o777 == 0o640
        assert list(tmp_path.iterdir()) == [target]

    @POSIX
    def test_what_nobody_else_may_read_stays_so(self, tmp_path: Path) -> None:
        """A file that is replaced keeps its permissions."""
        target = tmp_path / "out.md"
        target.touch(0o600)
        write_out(target, b"new")
        assert target.stat().st_mode & 0o777 == 0o600

    @POSIX
    def test_a_pipe_is_written_to(self, tmp_path: Path) -> None:
        """What is no file is not replaced by one: a device, or the pipe of `-o json:>(jq)`."""
        pipe = tmp_path / "pipe.json"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        outputs.check(outputs.Target("json", pipe))
        write_out(pipe, b"text")
        assert os.read(reader, 100) == b"text"
        os.close(reader)
        assert list(tmp_path.iterdir()) == [pipe]

    def test_what_is_there_is_not_overwritten(self, tmp_path: Path) -> None:
        """Without --force the file is as it was; with it, it is the new one."""
        target = tmp_path / "out.md"
        target.write_text("old")
        with pytest.raises(UsageError, match="is there already") as raised:
            write_out(target, b"new", force=False)
        assert "--force" in raised.value.hint
        assert target.read_text() == "old"
        write_out(target, b"new", force=True)
        assert target.read_text() == "new"
        assert list(tmp_path.iterdir()) == [target]

    @pytest.mark.parametrize("force", [False, True])
    def test_a_folder_is_no_file(self, tmp_path: Path, force: bool) -> None:
        """Nothing that is no file is replaced."""
        with pytest.raises(UsageError, match="is a folder"):
            write_out(tmp_path, b"x", force=force)

    def test_a_folder_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        """What the system says is said, and no file is left."""
        with pytest.raises(FusionError, match=r"none/out\.md cannot be written: No such file") as raised:
            write_out(tmp_path / "none" / "out.md", b"x", force=False)
        assert type(raised.value) is FusionError

    @POSIX
    def test_a_link_stays_one(self, tmp_path: Path) -> None:
        """With --force, what a link points to is replaced, not the link."""
        target = tmp_path / "there.md"
        target.write_text("old")
        link = tmp_path / "link.md"
        link.symlink_to(target)
        write_out(link, b"new", force=True)
        assert link.is_symlink()
        assert target.read_text() == "new"


@pytest.fixture
def as_anybody(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be a user whom permissions stop, in a folder where everybody may do everything."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        monkeypatch.chdir(folder)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        yield
        if is_root:
            os.seteuid(0)
        monkeypatch.undo()


@POSIX
@pytest.mark.usefixtures("as_anybody")
class TestReadOnly:
    """What takes nothing from us is not replaced, though its folder would let us."""

    def test_a_file_that_may_not_be_written_stays(self) -> None:
        """As for a shell's `>`: known before anybody is asked, and again when it is written."""
        target = Path("ro.json")
        target.write_text("old")
        target.chmod(0o444)
        with pytest.raises(UsageError, match=r"^-o/--output: ro\.json cannot be written: Permission denied$"):
            outputs.check(outputs.Target("json", target))
        with pytest.raises(FusionError, match=r"^ro\.json cannot be written: Permission denied$"):
            write_out(target, b"new", force=True)
        assert target.read_text() == "old"
        assert [path.name for path in Path().iterdir()] == ["ro.json"]

    def test_one_that_may_be_written_is(self) -> None:
        """Whatever others may do to it."""
        target = Path("rw.json")
        target.write_text("old")
        target.chmod(0o200)
        try_out(target)
        write_out(target, b"new")
        target.chmod(0o600)
        assert target.read_text() == "new"


def test_a_file_can_be_the_source() -> None:
    """What is copied goes from where the source stands to its end."""
    source = BytesIO(b"0123" * 100_000)
    source.seek(2)
    write_out(Path("copy"), source)
    assert Path("copy").read_bytes() == (b"0123" * 100_000)[2:]
