"""``ObjectStoragePath`` as a source: one object of a store, or a tree."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from upath import UPath

from airflow_xacct.dump.payload import SourceFile
from airflow_xacct.dump.sources.resolve import resolve_source
from airflow_xacct.dump.sources.storage_path import is_storage_path, storage_path_files
from airflow_xacct.exceptions import (
    InvalidArgumentError,
    ObjectTooLargeError,
    SourceChangedError,
    SourceNotFoundError,
    SourceUnreadableError,
)

ReadAll = Callable[..., bytes]


@pytest.fixture
def bucket() -> Iterator[UPath]:
    """A path in fsspec's store in memory, which is one per process."""
    root = UPath(f"memory://bucket-{uuid.uuid4()}/data")
    for name in ("b.csv", "2013/jan.csv", ".hidden"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    yield root
    root.fs.rm(root.parent.path, recursive=True)


def names(files: list[SourceFile]) -> list[str]:
    return [file.relative_name for file in files]


class Versioned:
    """The store in memory, with what S3 adds: an ETag, a listing cache, times of two precisions."""

    protocol = "s3"

    def __init__(self, path: UPath, versions: dict[str, str]) -> None:
        self.upath = path
        self.versions = versions
        self.cache: dict[str | None, dict[str, Any]] = {}
        self.looks = 0

    @property
    def path(self) -> str:
        return self.upath.path

    @property
    def name(self) -> str:
        return self.upath.name

    @property
    def fs(self) -> Versioned:
        return self

    def __truediv__(self, other: str) -> Versioned:
        return Versioned(self.upath / other, self.versions)

    def __str__(self) -> str:
        return f"s3:/{self.path}"

    def open(self, mode: str = "r", **kwargs: Any) -> Any:
        return self.upath.open(mode, **kwargs)

    def invalidate_cache(self, path: str | None = None) -> None:
        self.cache.pop(path, None)

    def _info(self, path: str) -> dict[str, Any]:
        known = self.upath.fs.info(path)
        return {"size": known["size"], "type": known["type"], "ETag": self.versions.get(path, "v1")}

    def info(self, path: str) -> dict[str, Any]:
        self.looks += 1
        return self.cache.setdefault(path, {**self._info(path), "LastModified": "12:00:00"})

    def _find(self) -> None:
        """Stores that list flat bring this method."""

    def find(self, path: str, *, detail: bool) -> dict[str, dict[str, Any]]:
        assert detail
        return {
            name: {**self._info(name), "LastModified": "12:00:00.123"}
            for name in self.upath.fs.find(path, detail=False)
        }


class Unknown:
    """A path whose file system cannot be made, as ``ObjectStoragePath`` behaves."""

    path = name = "x"
    protocol = "gopher"

    @property
    def fs(self) -> object:
        raise ValueError("No filesystem registered for scheme gopher")

    def __truediv__(self, other: str) -> Unknown:
        return self

    def open(self, mode: str = "r", **kwargs: Any) -> object:
        raise NotImplementedError


class TestFound:
    def test_a_single_object_goes_by_its_own_name(self, bucket: UPath, read_all: ReadAll) -> None:
        """Its size is known before it is opened."""
        (file,) = storage_path_files(bucket / "2013" / "jan.csv")
        assert file.relative_name == "jan.csv"
        assert file.path == file.payload.name == str(bucket / "2013" / "jan.csv")
        assert file.payload.max_size_bytes == len("2013/jan.csv")
        assert read_all(file.payload, 5) == b"2013/jan.csv"

    def test_a_tree_gives_every_object_below_it_sorted(self, bucket: UPath, read_all: ReadAll) -> None:
        """Under its path relative to the source."""
        files = storage_path_files(bucket)
        assert names(files) == [".hidden", "2013/jan.csv", "b.csv"]
        assert [read_all(file.payload).decode() for file in files] == names(files)

    def test_names_that_look_like_urls_or_patterns_are_read(self, bucket: UPath, read_all: ReadAll) -> None:
        """``#`` and ``?`` are letters of a key."""
        (bucket / "2013" / "a#b?[c].csv").write_bytes(b"odd")
        (file, _) = storage_path_files(bucket / "2013")
        assert (file.relative_name, read_all(file.payload)) == ("a#b?[c].csv", b"odd")

    def test_airflows_own_class_works_for_a_store(self, bucket: UPath, read_all: ReadAll) -> None:
        """Objects and trees, opened through Airflow, which notes them for its lineage."""
        attach("memory", fs=MemoryFileSystem())
        root = ObjectStoragePath(str(bucket))
        assert is_storage_path(root)
        assert [read_all(file.payload, 4).decode() for file in resolve_source(root)] == names(resolve_source(bucket))
        (file,) = resolve_source(root / "b.csv")
        assert read_all(file.payload) == b"b.csv"

    def test_a_path_of_the_local_file_system_is_treated_as_one(self, tree: Path, read_all: ReadAll) -> None:
        """Its links are refused and its changes noticed as for any local path."""
        files = resolve_source(ObjectStoragePath(f"file://{tree}"))
        assert names(files) == names(resolve_source(tree))
        assert read_all(files[-1].payload) == b"b.csv"
        (tree / "link").symlink_to("/etc/hostname")
        with pytest.raises(SourceUnreadableError, match="symbolic link"):
            resolve_source(ObjectStoragePath(f"file://{tree}"))

    def test_a_listing_with_versions_needs_no_look_at_each_object(self, bucket: UPath, read_all: ReadAll) -> None:
        """Only the check at the end asks again, and times of another precision are no change."""
        root = Versioned(bucket, {})
        files = storage_path_files(root)
        assert root.looks == 1
        assert read_all(files[0].payload) == b".hidden"

    def test_markers_of_empty_folders_are_no_files(self, bucket: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
        """Consoles write an empty object whose key ends in a slash."""
        root = Versioned(bucket, {})
        listing = {
            f"{bucket.path}/folder/": {"type": "file", "size": 0},
            f"{bucket.path}/b.csv": {"type": "file", "size": 5},
            f"{bucket.path}/2013": {"type": "directory", "size": 0},
        }
        monkeypatch.setattr(root, "find", lambda path, detail: listing)
        assert names(storage_path_files(root)) == ["b.csv"]


class TestRefused:
    def test_a_missing_object_is_named(self, bucket: UPath) -> None:
        """With its URL; patterns are for local files."""
        with pytest.raises(SourceNotFoundError, match=r"memory://.*missing\.csv.*Patterns"):
            storage_path_files(bucket / "missing.csv", allow_empty=True)

    def test_an_empty_tree_is_an_error_unless_that_is_allowed(self, bucket: UPath) -> None:
        """As for local directories."""
        (bucket / "empty").mkdir()
        with pytest.raises(SourceNotFoundError, match="allow_empty=True"):
            storage_path_files(bucket / "empty")
        assert storage_path_files(bucket / "empty", allow_empty=True) == []

    def test_names_that_no_key_may_have_are_listed_at_once(
        self, bucket: UPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stores allow more than S3's readers can take, and more than a path can express."""
        root = Versioned(bucket, {})
        info = {"type": "file", "size": 1}
        bad = (f"{bucket.path}//twice", f"{bucket.path}/a/../up", f"{bucket.path}/line\nbreak", "other-root/x")
        monkeypatch.setattr(root, "find", lambda path, detail: dict.fromkeys(bad, info))
        with pytest.raises(SourceUnreadableError) as caught:
            storage_path_files(root)
        text = str(caught.value)
        assert "4 entries" in text
        assert all(
            reason in text for reason in ("begins with a slash", "'..'", "control characters", "expressed as a path")
        )

    def test_a_directory_that_may_not_be_listed_is_an_error_not_an_omission(
        self, bucket: UPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """fsspec's own walk would leave it out without a word."""
        real = MemoryFileSystem.ls

        def ls(self: MemoryFileSystem, path: str, detail: bool = True, **kwargs: Any) -> Any:
            if path.endswith("2013"):
                raise PermissionError(13, "Permission denied", path)
            return real(self, path, detail, **kwargs)

        monkeypatch.setattr(MemoryFileSystem, "ls", ls)
        with pytest.raises(SourceUnreadableError, match="cannot be listed: permission denied"):
            storage_path_files(bucket)

    def test_a_store_without_its_package_is_said_to_lack_it(self) -> None:
        """Airflow knows no file system for the scheme."""
        with pytest.raises(SourceUnreadableError, match=r"scheme gopher.*Install the Airflow provider"):
            resolve_source(Unknown())

    def test_entries_that_are_no_files_are_refused(self, bucket: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
        """Links of a file server, which may lead anywhere; its listing of a directory may name that itself."""
        real = MemoryFileSystem.ls

        def ls(self: MemoryFileSystem, path: str, detail: bool = True, **kwargs: Any) -> Any:
            extra = [{"name": path, "type": "directory"}, {"name": f"{path}/link", "type": "link", "size": 1}]
            return real(self, path, detail, **kwargs) + extra

        monkeypatch.setattr(MemoryFileSystem, "ls", ls)
        with pytest.raises(SourceUnreadableError, match=r"2 entries.*2013/link: it is of the type 'link'"):
            storage_path_files(bucket)

    def test_an_object_above_the_limit_is_refused(self, bucket: UPath) -> None:
        """Before anything is read."""
        with pytest.raises(ObjectTooLargeError, match=r"2013/jan\.csv"):
            storage_path_files(bucket, max_object_size_bytes=10)

    def test_an_object_that_cannot_be_opened_is_unreadable(
        self, bucket: UPath, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In the words of the store."""
        (file,) = storage_path_files(bucket / "b.csv")
        monkeypatch.setattr(MemoryFileSystem, "_open", refuse)
        with pytest.raises(SourceUnreadableError, match="cannot be opened: forbidden"):
            file.payload.open()


def refuse(*args: object, **kwargs: object) -> None:
    raise PermissionError(13, "Forbidden")


class TestChanges:
    def test_removal_before_opening_is_not_found(self, bucket: UPath) -> None:
        """The message says that it was there."""
        (file,) = storage_path_files(bucket / "b.csv")
        (bucket / "b.csv").unlink()
        with pytest.raises(SourceNotFoundError, match="removed after it was listed"):
            file.payload.open()

    def test_another_size_when_opened_is_noticed(self, bucket: UPath) -> None:
        """All objects of a delivery stand as they were listed."""
        (file,) = storage_path_files(bucket / "b.csv")
        (bucket / "b.csv").write_bytes(b"longer than before")
        with pytest.raises(SourceChangedError, match="from 5 to 18 bytes"):
            file.payload.open()

    def test_a_replacement_while_it_is_read_is_noticed_by_its_time(self, bucket: UPath) -> None:
        """Same size, later time: the store in memory knows no more."""
        (file,) = storage_path_files(bucket / "b.csv")
        reader = file.payload.open()
        assert reader.rows is None
        reader.read(100)
        (bucket / "b.csv").write_bytes(b"other")
        with pytest.raises(SourceChangedError, match="its created went from"):
            reader.finish()
        reader.close()

    def test_a_replacement_is_noticed_by_its_etag_past_the_listing_cache(self, bucket: UPath) -> None:
        """Size and bytes may be equal; the version is not, and a remembered answer does not hide it."""
        versions: dict[str, str] = {}
        (file,) = storage_path_files(Versioned(bucket / "b.csv", versions))
        reader = file.payload.open()
        reader.read(100)
        versions[(bucket / "b.csv").path] = "v2"
        with pytest.raises(SourceChangedError, match="its ETag went from v1 to v2"):
            reader.finish()
        reader.close()

    def test_an_early_end_is_noticed(self, bucket: UPath) -> None:
        """Fewer bytes than the store announced."""
        (file,) = storage_path_files(bucket / "b.csv")
        reader = file.payload.open()
        reader.read(2)
        with pytest.raises(SourceChangedError, match="ended after 2 of 5 bytes"):
            reader.finish()
        reader.close()

    def test_removal_while_it_is_read_is_noticed(self, bucket: UPath) -> None:
        """What was read can no longer be compared."""
        (file,) = storage_path_files(bucket / "b.csv")
        reader = file.payload.open()
        reader.read(100)
        (bucket / "b.csv").unlink()
        with pytest.raises(SourceChangedError, match="no longer there"):
            reader.finish()
        reader.close()

    def test_short_reads_and_reading_errors_of_a_store(self, bucket: UPath, monkeypatch: pytest.MonkeyPatch) -> None:
        """Short blocks are made up for; an error says how far it went."""

        class Stuttering:
            def __init__(self) -> None:
                self.blocks = [b"20", b"13/", b"jan"]

            def read(self, size: int) -> bytes:
                if not self.blocks:
                    raise TimeoutError("slow")
                return self.blocks.pop(0)

            def close(self) -> None:
                pass

        source = Versioned(bucket / "2013" / "jan.csv", {})
        monkeypatch.setattr(source, "open", lambda mode: Stuttering())
        (file,) = storage_path_files(source)
        reader = file.payload.open()
        assert reader.read(8) == b"2013/jan"
        with pytest.raises(SourceUnreadableError, match="after 8 bytes: timeouterror"):
            reader.read(8)
        reader.close()

    def test_a_store_that_does_not_know_sizes_is_read_to_its_end(self, bucket: UPath, read_all: ReadAll) -> None:
        """Such as a web server that streams."""

        class Sizeless(Versioned):
            def _info(self, path: str) -> dict[str, Any]:
                return {"type": "file", "size": None}

        (file,) = storage_path_files(Sizeless(bucket / "b.csv", {}))
        assert file.payload.max_size_bytes is None
        assert read_all(file.payload) == b"b.csv"


class TestResolve:
    def test_a_list_gives_the_files_of_each_in_order(self, tree: Path, bucket: UPath) -> None:
        """Paths, patterns and stores may be mixed."""
        assert names(resolve_source([tree / "b.csv", f"{tree}/a.*", bucket / "b.csv"])) == ["b.csv", "a.csv", "b.csv"]
        assert names(resolve_source((str(tree / "a.csv"),))) == ["a.csv"]

    def test_an_empty_list_is_nothing_found(self) -> None:
        """Unless that is allowed."""
        with pytest.raises(SourceNotFoundError, match="empty"):
            resolve_source([])
        assert resolve_source([], allow_empty=True) == []

    @pytest.mark.parametrize("source", [None, 5, b"bytes", {"a": 1}])
    def test_what_is_no_source_is_refused(self, source: object) -> None:
        """The remedy says where text and bytes belong."""
        with pytest.raises(InvalidArgumentError, match="text and bytes are data"):
            resolve_source(source)  # type: ignore[arg-type]
