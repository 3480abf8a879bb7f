"""Local files as a source: which are found, under which names, and what is refused."""

from __future__ import annotations

import glob
import os
import socket
from collections.abc import Callable
from logging.handlers import BufferingHandler
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from airflow_xacct.dump.payload import MAX_OBJECT_SIZE_BYTES, SourceFile
from airflow_xacct.dump.sources import files
from airflow_xacct.dump.sources.files import local_files
from airflow_xacct.dump.sources.problems import printable
from airflow_xacct.exceptions import (
    InvalidArgumentError,
    ObjectTooLargeError,
    SourceNotFoundError,
    SourceUnreadableError,
)

ReadAll = Callable[..., bytes]


def names(found: list[SourceFile]) -> list[str]:
    return [file.relative_name for file in found]


class TestFound:
    def test_a_single_file_goes_by_its_own_name(self, tree: Path, read_all: ReadAll) -> None:
        """The directory above a single file is not part of its name."""
        (file,) = local_files(tree / "2013" / "jan.csv")
        assert file.relative_name == "jan.csv"
        assert file.path == file.payload.name == str(tree / "2013" / "jan.csv")
        assert read_all(file.payload) == b"2013/jan.csv"

    def test_a_directory_gives_every_file_below_it_sorted_with_its_relative_path(
        self, tree: Path, read_all: ReadAll
    ) -> None:
        """Hidden files are included, empty directories are not; each payload holds its own file's bytes."""
        files = local_files(str(tree))
        assert names(files) == [
            ".hidden",
            "2013/jan.csv",
            "2013/q1/mar.csv",
            "2013/q1/mar.txt",
            "2014/jan.csv",
            "a.csv",
            "b.csv",
        ]
        assert [read_all(file.payload).decode() for file in files] == names(files)

    @pytest.mark.parametrize(
        ("pattern", "expected"),
        [
            ("*.csv", ["a.csv", "b.csv"]),
            ("*", [".hidden", "a.csv", "b.csv"]),
            ("?.csv", ["a.csv", "b.csv"]),
            ("[!a].csv", ["b.csv"]),
            ("*/jan.csv", ["2013/jan.csv", "2014/jan.csv"]),
            ("**/*.csv", ["2013/jan.csv", "2013/q1/mar.csv", "2014/jan.csv", "a.csv", "b.csv"]),
            ("**/**/mar.*", ["2013/q1/mar.csv", "2013/q1/mar.txt"]),
            ("**/q1/*.txt", ["2013/q1/mar.txt"]),
            ("201?/**", ["2013/jan.csv", "2013/q1/mar.csv", "2013/q1/mar.txt", "2014/jan.csv"]),
            ("2013/*.csv", ["jan.csv"]),
            ("2013/**/*.csv", ["jan.csv", "q1/mar.csv"]),
        ],
    )
    def test_a_pattern_gives_names_below_its_last_fixed_directory(
        self, tree: Path, pattern: str, expected: list[str]
    ) -> None:
        """Wildcards stay within a name, ``**`` crosses directories, and directories that match are no files."""
        assert names(local_files(f"{tree}/{pattern}")) == expected

    def test_a_relative_path_is_taken_from_the_current_directory(
        self, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Messages and payloads carry the absolute path."""
        monkeypatch.chdir(tree)
        assert [file.path for file in local_files("*.csv")] == [f"{tree}/a.csv", f"{tree}/b.csv"]

    def test_a_file_whose_name_looks_like_a_pattern_is_that_file(self, tree: Path, read_all: ReadAll) -> None:
        """``data[1].csv`` exists, so nothing is matched."""
        (tree / "data[1].csv").write_text("brackets")
        (tree / "data1.csv").write_text("pattern")
        (file,) = local_files(tree / "data[1].csv")
        assert read_all(file.payload) == b"brackets"

    def test_dots_in_a_path_mean_what_the_system_takes_them_for(self, tree: Path) -> None:
        """``link/..`` is the parent of where the link leads, not of the link."""
        (tree / "2014" / "link").symlink_to(tree / "2013" / "q1")
        assert names(local_files(f"{tree}/2014/link/../jan.csv")) == ["jan.csv"]
        assert local_files(f"{tree}/2014/link/../*.csv")[0].path == f"{tree}/2014/link/../jan.csv"

    def test_a_slash_at_the_end_of_a_directory_changes_nothing(self, tree: Path) -> None:
        """Unlike for rsync, the directory's own name is never part of a key."""
        assert names(local_files(f"{tree}/")) == names(local_files(tree))

    def test_nothing_stays_open(self, tree: Path) -> None:
        """Listing opens each file once to see whether it may; none is left open until its turn."""
        before = len(os.listdir("/proc/self/fd"))
        files = local_files(tree)
        assert len(os.listdir("/proc/self/fd")) == before
        assert len(files) == 7

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
    @given(
        pattern=st.lists(st.sampled_from(["**", "*", "2013", "q1", "*.csv", "mar.*", "?.csv"]), min_size=1, max_size=4)
    )
    def test_patterns_agree_with_the_standard_library(self, tree: Path, pattern: list[str]) -> None:
        """Any mix of parts matches what ``glob`` finds with hidden files included."""
        assume(any("*" in part or "?" in part for part in pattern))
        expected = {
            path
            for path in glob.glob("/".join(pattern), root_dir=tree, recursive=True, include_hidden=True)
            if (tree / path).is_file()
        }
        found = local_files(f"{tree}/{'/'.join(pattern)}", allow_empty=True)
        assert {os.path.relpath(file.path, tree) for file in found} == expected


class TestNotFound:
    def test_a_missing_file_is_named_with_its_host_and_the_remedy(self, tmp_path: Path) -> None:
        """Workers may not share a disk, so the host is half of the answer."""
        with pytest.raises(SourceNotFoundError) as caught:
            local_files(tmp_path / "missing.csv", allow_empty=True)
        assert str(tmp_path / "missing.csv") in str(caught.value)
        assert socket.gethostname() in str(caught.value)
        assert "Workers need not share a disk" in str(caught.value)

    @pytest.mark.parametrize("below", ["empty", "*.parquet", "nowhere/*.csv", "a.csv/*"])
    def test_nothing_found_is_an_error_unless_that_is_allowed(self, tree: Path, below: str) -> None:
        """An empty directory, a pattern without matches, or one below a directory that is not there."""
        with pytest.raises(SourceNotFoundError, match="allow_empty=True"):
            local_files(tree / below)
        assert local_files(tree / below, allow_empty=True) == []

    def test_a_path_through_a_file_is_not_found(self, tree: Path) -> None:
        """``a.csv/x`` cannot exist."""
        with pytest.raises(SourceNotFoundError):
            local_files(tree / "a.csv" / "x")

    def test_a_source_that_is_a_dangling_link_is_said_to_be_one(self, tree: Path) -> None:
        """The path exists for ``ls`` and not for ``cat``."""
        (tree / "gone").symlink_to(tree / "nothing")
        with pytest.raises(SourceNotFoundError, match="symbolic link to nothing"):
            local_files(tree / "gone")

    @pytest.mark.parametrize("source", ["", "a\0b", SimpleNamespace(__fspath__=None)])
    def test_what_is_no_path_is_an_argument_error(self, source: object) -> None:
        """Empty text and NUL never name a file."""
        with pytest.raises((InvalidArgumentError, TypeError)):
            local_files(source)  # type: ignore[arg-type]

    def test_a_url_points_to_object_storage_path(self) -> None:
        """Text with a scheme is no local path."""
        with pytest.raises(InvalidArgumentError, match=r"ObjectStoragePath\('s3://bucket/x.csv'\)"):
            local_files("s3://bucket/x.csv")

    def test_a_pattern_that_ends_in_a_slash_is_refused(self, tree: Path) -> None:
        """It would match directories only; the error shows how to reach their files."""
        with pytest.raises(InvalidArgumentError, match=r"/\*/\*\*"):
            local_files(f"{tree}/*/")

    def test_a_pattern_cannot_climb_after_a_wildcard(self, tree: Path) -> None:
        """``*/../x`` would give names with ``..``."""
        with pytest.raises(InvalidArgumentError, match="climbs"):
            local_files(f"{tree}/*/../a.csv")

    def test_an_unknown_way_to_treat_links_is_refused(self, tree: Path) -> None:
        """The error lists the known ones."""
        with pytest.raises(InvalidArgumentError, match=r"refuse.*skip.*follow"):
            local_files(tree, symlinks="maybe")  # type: ignore[arg-type]


class TestUnreadable:
    def test_all_unreadable_files_and_directories_are_listed_at_once(
        self, public_tmp_path: Path, ordinary_user_later: Callable[[], None]
    ) -> None:
        """Nothing is sent; the person who fixes permissions sees the whole work."""
        for name in ("a.csv", "b.csv", "c.csv"):
            (public_tmp_path / name).write_text(name)
        (public_tmp_path / "a.csv").chmod(0)
        (public_tmp_path / "c.csv").chmod(0)
        ordinary_user_later()
        with pytest.raises(SourceUnreadableError) as caught:
            local_files(public_tmp_path)
        text = str(caught.value)
        assert "2 entries" in text
        assert f"{public_tmp_path}/a.csv: permission denied" in text
        assert f"{public_tmp_path}/c.csv: permission denied" in text
        assert "b.csv" not in text

    def test_a_directory_that_cannot_be_listed_is_an_error_not_an_omission(
        self, public_tmp_path: Path, ordinary_user_later: Callable[[], None]
    ) -> None:
        """Files below it would be missing from the delivery without a word."""
        (public_tmp_path / "open.csv").write_text("x")
        (public_tmp_path / "closed").mkdir(mode=0)
        ordinary_user_later()
        with pytest.raises(SourceUnreadableError, match="closed: permission denied"):
            local_files(public_tmp_path)
        with pytest.raises(SourceUnreadableError, match="closed: permission denied"):
            local_files(public_tmp_path / "closed")
        with pytest.raises(SourceUnreadableError, match="permission denied"):
            local_files(public_tmp_path / "closed" / "x.csv")

    def test_ten_are_named_and_the_rest_counted(self, tmp_path: Path) -> None:
        """A message stays readable with thousands of broken entries."""
        for number in range(12):
            os.mkfifo(tmp_path / f"pipe{number:02}")
        with pytest.raises(SourceUnreadableError) as caught:
            local_files(tmp_path)
        assert "12 entries" in str(caught.value)
        assert "pipe09" in str(caught.value)
        assert "pipe10" not in str(caught.value)
        assert "and 2 more" in str(caught.value)

    def test_pipes_sockets_and_devices_are_named_and_never_waited_for(self, public_tmp_path: Path) -> None:
        """Reading a pipe without a writer would hang the task."""
        os.mkfifo(public_tmp_path / "pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(public_tmp_path / "socket"))
        with pytest.raises(SourceUnreadableError) as caught:
            local_files(public_tmp_path)
        assert "pipe: a named pipe" in str(caught.value)
        assert "socket: a socket" in str(caught.value)
        with pytest.raises(SourceUnreadableError, match="a named pipe"):
            local_files(public_tmp_path / "pipe")
        with pytest.raises(SourceUnreadableError, match="a character device"):
            local_files("/dev/null")

    def test_special_files_that_do_not_match_are_nobodys_concern(self, tree: Path) -> None:
        """A pattern chooses; what it leaves out need not be readable."""
        os.mkfifo(tree / "pipe")
        assert names(local_files(f"{tree}/*.csv")) == ["a.csv", "b.csv"]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            (b"caf\xe9.csv", "no valid Unicode"),
            (b"line\nbreak.csv", "control characters"),
            (b"back\\slash.csv", "backslash"),
            (b"..%2fup.csv", "percent-encoding"),
        ],
    )
    def test_names_that_no_key_may_have_are_refused(self, tmp_path: Path, name: bytes, reason: str) -> None:
        """The message shows the name with escapes, so that any log can hold it."""
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
        for source in (tmp_path, tmp_path / os.fsdecode(name)):
            with pytest.raises(SourceUnreadableError, match=reason) as caught:
                local_files(source)
            assert str(caught.value).isprintable()

    def test_a_path_the_system_cannot_look_up_is_unreadable(self, tmp_path: Path) -> None:
        """A name beyond the system's limit, or a link that leads to itself."""
        with pytest.raises(SourceUnreadableError, match="too long"):
            local_files(tmp_path / ("x" * 300))
        (tmp_path / "self").symlink_to("self")
        with pytest.raises(SourceUnreadableError, match="too many levels"):
            local_files(tmp_path / "self")


class TestSymbolicLinks:
    @pytest.fixture
    def linked(self, tree: Path, tmp_path: Path) -> Path:
        secret = tmp_path / "elsewhere"
        secret.mkdir()
        (secret / "secret.csv").write_text("not for you")
        (tree / "out.csv").symlink_to(secret / "secret.csv")
        (tree / "outside").symlink_to(secret)
        return tree

    def test_links_below_a_directory_are_refused_by_default(self, linked: Path) -> None:
        """They may lead to anything the worker can read; both kinds are named, with the two ways out."""
        with pytest.raises(SourceUnreadableError) as caught:
            local_files(linked)
        assert f"{linked}/out.csv: a symbolic link" in str(caught.value)
        assert f"{linked}/outside: a symbolic link" in str(caught.value)
        assert "symlinks='follow'" in str(caught.value)

    def test_links_that_a_pattern_does_not_reach_are_nobodys_concern(self, linked: Path) -> None:
        """Neither a file link that does not match nor a directory link where the pattern ends."""
        assert names(local_files(f"{linked}/[ab].csv")) == ["a.csv", "b.csv"]
        with pytest.raises(SourceUnreadableError, match=r"out\.csv: a symbolic link"):
            local_files(f"{linked}/*.csv")
        (linked / "out.csv").unlink()
        assert names(local_files(f"{linked}/*")) == [".hidden", "a.csv", "b.csv"]

    def test_skipped_links_are_counted_in_one_line(self, linked: Path) -> None:
        """The log says how many were left out and names one."""
        lines = BufferingHandler(capacity=100)
        files.log.addHandler(lines)
        try:
            found = names(local_files(linked, symlinks="skip"))
        finally:
            files.log.removeHandler(lines)
        assert "out.csv" not in found
        assert not any(name.startswith("outside") for name in found)
        (record,) = lines.buffer
        assert "Left out 2 symbolic links" in record.getMessage()
        assert f"{linked}/out.csv" in record.getMessage()

    def test_only_skipped_links_is_nothing_found(self, tmp_path: Path) -> None:
        """The error says where the expected files went."""
        (tmp_path / "a").symlink_to("/etc/hostname")
        with pytest.raises(SourceNotFoundError, match="only 1 symbolic links"):
            local_files(tmp_path, symlinks="skip")

    def test_followed_links_keep_their_own_names(self, linked: Path, read_all: ReadAll) -> None:
        """A link to a file is that file's bytes, a link to a directory the files below it."""
        found = {file.relative_name: file.payload for file in local_files(linked, symlinks="follow")}
        assert read_all(found["out.csv"]) == b"not for you"
        assert read_all(found["outside/secret.csv"]) == b"not for you"

    def test_a_loop_of_links_is_an_error_and_no_hang(self, tree: Path) -> None:
        """A link to a directory above it would repeat the tree for ever."""
        (tree / "2013" / "q1" / "again").symlink_to(tree)
        with pytest.raises(SourceUnreadableError, match="leads back to a directory above"):
            local_files(tree, symlinks="follow")

    def test_dangling_links_are_unreadable_when_followed(self, tree: Path) -> None:
        """All of them at once, the link that leads to itself included."""
        (tree / "gone").symlink_to(tree / "nothing")
        (tree / "self").symlink_to("self")
        with pytest.raises(SourceUnreadableError) as caught:
            local_files(tree, symlinks="follow")
        assert "gone: a symbolic link to nothing" in str(caught.value)
        assert "self: a symbolic link to nothing" in str(caught.value)

    def test_a_source_that_is_itself_a_link_is_followed(self, tree: Path, read_all: ReadAll) -> None:
        """``current -> 2013`` was named on purpose, as a file, a directory or the start of a pattern."""
        (tree / "current").symlink_to("2013")
        (tree / "current.csv").symlink_to("a.csv")
        assert names(local_files(tree / "current"))[0] == "jan.csv"
        assert names(local_files(f"{tree}/current/*.csv")) == ["jan.csv"]
        (file,) = local_files(tree / "current.csv")
        assert (file.relative_name, read_all(file.payload)) == ("current.csv", b"a.csv")


class TestSize:
    def test_the_limit_is_ten_thousand_parts_of_5_gib(self) -> None:
        """AWS writes it as 48.8 TiB."""
        assert round(MAX_OBJECT_SIZE_BYTES / 1024**4, 1) == 48.8

    def test_a_file_above_the_limit_is_refused_before_it_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is read from any of the files."""
        (tmp_path / "ok").write_bytes(b"x" * 10)
        (tmp_path / "large").write_bytes(b"x" * 11)
        assert len(local_files(tmp_path, max_object_size_bytes=11)) == 2
        monkeypatch.setattr("airflow_xacct.dump.sources.files.open_regular", pytest.fail)
        with pytest.raises(ObjectTooLargeError, match=r"11 bytes.*large"):
            local_files(tmp_path, max_object_size_bytes=10)

    def test_a_real_file_of_49_tib_is_refused(self) -> None:
        """A sparse file, where the file system in memory allows one of that size."""
        shared_memory = Path("/dev/shm")
        path = shared_memory / f"xacct-{os.getpid()}"
        try:
            with path.open("wb") as file:
                file.truncate(49 * 1024**4)
        except OSError as exc:
            pytest.skip(f"no sparse file of 49 TiB on this machine: {exc}")
        else:
            with pytest.raises(ObjectTooLargeError, match="53,876,069,761,024 bytes"):
                local_files(path)
        finally:
            path.unlink(missing_ok=True)


def test_printable_text_can_go_into_any_log() -> None:
    """Bytes that were no UTF-8, control characters and line separators become escapes; letters stay."""
    assert printable("Zürich 🛫/a") == "Zürich 🛫/a"
    assert printable("a\udce9\n\u2028") == "a\\udce9\\n\\u2028"
