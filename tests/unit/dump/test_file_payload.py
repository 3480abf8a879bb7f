"""One local file: read in large blocks, and every change while it is read is noticed."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_xacct.dump.payload import Payload
from airflow_xacct.dump.sources.file_payload import FilePayload, FileState, file_kind
from airflow_xacct.dump.sources.files import local_files
from airflow_xacct.exceptions import SourceChangedError, SourceNotFoundError, SourceUnreadableError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flights.csv"
    path.write_bytes(b"0123456789" * 10)
    # long ago, so that any write moves it, however coarse the clock of the file system
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


@pytest.fixture
def payload(path: Path) -> Payload:
    (file,) = local_files(path)
    return file.payload


def opened_by(path: Path, kind: type[io.FileIO]) -> FilePayload:
    """A payload whose file behaves in its own way."""
    return FilePayload(str(path), FileState.of(path.stat()), opener=lambda name, follow_symlinks: kind(name, "rb"))


class TestReading:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
    @given(content=st.binary(max_size=3000), size_bytes=st.integers(1, 4000))
    def test_every_byte_arrives_whatever_the_block_size(
        self, tmp_path: Path, read_all: Callable[..., bytes], content: bytes, size_bytes: int
    ) -> None:
        """All blocks but the last are full."""
        path = tmp_path / "x"
        path.write_bytes(content)
        (file,) = local_files(path)
        assert read_all(file.payload, size_bytes) == content
        assert file.payload.max_size_bytes == len(content)

    def test_it_may_be_read_again(self, payload: Payload, read_all: Callable[..., bytes]) -> None:
        """A second try starts from the first byte; two passes at once do not disturb each other."""
        first, second = payload.open(), payload.open()
        assert first.read(10) == second.read(10) == b"0123456789"
        first.close()
        second.close()
        assert len(read_all(payload)) == 100

    def test_a_block_is_one_read_of_the_system(self, path: Path) -> None:
        """No loop over small pieces: the whole block is asked for at once."""
        asked: list[int] = []

        class CountingFile(io.FileIO):
            def read(self, size: int | None = -1, /) -> bytes:
                asked.append(size or 0)
                return super().read(size)

        reader = opened_by(path, CountingFile).open()
        assert len(reader.read(60)) == 60
        assert len(reader.read(60)) == 40
        assert reader.read(60) == b""
        reader.close()
        assert asked == [60, 40]

    def test_short_reads_of_the_system_are_made_up_for(self, path: Path) -> None:
        """Network file systems may return less than was asked for, in the middle of a file."""

        class StutteringFile(io.FileIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(min(size or 0, 7))

        reader = opened_by(path, StutteringFile).open()
        assert reader.read(64) == (b"0123456789" * 7)[:64]
        assert len(reader.read(64)) == 36
        reader.finish()
        reader.close()

    def test_a_reading_error_is_a_source_error(self, path: Path) -> None:
        """A failing disk or a lost mount: the file, how far it went and the system's words."""

        class FailingFile(io.FileIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell():
                    raise OSError(5, "Input/output error")
                return super().read(size)

        reader = opened_by(path, FailingFile).open()
        reader.read(30)
        with pytest.raises(SourceUnreadableError, match=rf"after 30 bytes: input/output error \({path}"):
            reader.read(30)
        reader.close()

    def test_rows_are_not_counted(self, payload: Payload) -> None:
        """Bytes of a file are not looked into."""
        reader = payload.open()
        assert reader.rows is None
        reader.close()


class TestChanges:
    def read(self, payload: Payload, between: Callable[[], object]) -> None:
        """Read half, let something happen, read the rest and finish."""
        reader = payload.open()
        try:
            reader.read(50)
            between()
            while reader.read(50):
                pass
            reader.finish()
        finally:
            reader.close()

    def test_growth_is_noticed_and_the_rest_not_sent(self, path: Path, payload: Payload) -> None:
        """Another process still writes: what is sent never exceeds the announced size."""
        reader = payload.open()
        with path.open("ab") as file:
            file.write(b"more")
        assert len(reader.read(1000)) == 100
        assert reader.read(1000) == b""
        with pytest.raises(SourceChangedError, match="size went from 100 to 104 bytes"):
            reader.finish()
        reader.close()

    def test_truncation_is_noticed(self, path: Path, payload: Payload) -> None:
        """The reader ends early and says where."""
        with pytest.raises(SourceChangedError, match="ended after 50 of 100 bytes"):
            self.read(payload, lambda: os.truncate(path, 20))

    def test_a_rewrite_of_the_same_size_is_noticed(self, path: Path, payload: Payload) -> None:
        """By the modification time."""
        with pytest.raises(SourceChangedError, match="was written to"):
            self.read(payload, lambda: path.write_bytes(b"x" * 100))

    def test_a_replacement_by_rename_is_noticed(self, path: Path, payload: Payload) -> None:
        """What was read is whole but old: same size and time, another file."""

        def replace() -> None:
            other = path.with_name("other")
            other.write_bytes(b"y" * 100)
            os.utime(other, (1_000_000_000, 1_000_000_000))
            other.rename(path)

        with pytest.raises(SourceChangedError, match="another file took its place"):
            self.read(payload, replace)

    def test_removal_is_noticed(self, path: Path, payload: Payload) -> None:
        """A file that is gone when the reading ends was somebody else's to move."""
        with pytest.raises(SourceChangedError, match=r"no longer there \(no such file"):
            self.read(payload, path.unlink)

    def test_a_change_between_listing_and_opening_is_noticed(self, path: Path, payload: Payload) -> None:
        """All files of a delivery stand as they did when they were listed."""
        path.write_bytes(b"short")
        with pytest.raises(SourceChangedError, match="after it was listed: its size went from 100 to 5 bytes"):
            payload.open()

    def test_removal_before_opening_is_not_found(self, path: Path, payload: Payload) -> None:
        """The message says that it was there."""
        path.unlink()
        with pytest.raises(SourceNotFoundError, match="removed after it was listed"):
            payload.open()

    def test_a_pipe_that_took_its_place_is_not_waited_for(self, path: Path, payload: Payload) -> None:
        """Opening a pipe without a writer would hang."""
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(SourceUnreadableError, match="it is a named pipe"):
            payload.open()

    def test_a_link_that_took_a_listed_files_place_is_not_followed(self, tmp_path: Path, path: Path) -> None:
        """Between the listing and its turn, a file of a tree may become a link to anything."""
        (file,) = local_files(tmp_path)
        path.unlink()
        path.symlink_to("/etc/hostname")
        with pytest.raises(SourceUnreadableError, match="cannot be opened"):
            file.payload.open()

    def test_a_new_permission_is_no_change(self, path: Path, payload: Payload) -> None:
        """Only content counts."""
        self.read(payload, lambda: path.chmod(0o600))

    def test_inode_numbers_may_differ_between_listing_and_opening(self, path: Path) -> None:
        """Some network file systems make them up at each look."""
        state = FileState.of(os.stat(path))
        listed = FileState(state.size_bytes, state.mtime_ns, state.device, state.inode + 1)
        self.read(FilePayload(str(path), listed), lambda: None)


def test_every_kind_of_entry_has_a_name() -> None:
    """An unknown kind is said to be no regular file."""
    assert file_kind(0o060000) == "a block device"
    assert file_kind(0) == "no regular file"
