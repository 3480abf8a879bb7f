"""The keys of objects."""

from __future__ import annotations

from datetime import UTC, date, datetime
from urllib.parse import unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_xacct.dump.naming import HIVE_NULL, PartitionValue, key_problem, object_keys, partition_path
from airflow_xacct.dump.payload import SourceFile
from airflow_xacct.dump.sources.inline import BytesPayload
from airflow_xacct.exceptions import InvalidArgumentError, OutsideDestinationError


def files(*relative_names: str) -> list[SourceFile]:
    return [SourceFile(f"/data/{name}", name, BytesPayload(b"")) for name in relative_names]


class TestObjectKeys:
    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            ("", ["jan.csv", "q1/mar.csv"]),
            ("flights/", ["flights/jan.csv", "flights/q1/mar.csv"]),
            ("a/b/", ["a/b/jan.csv", "a/b/q1/mar.csv"]),
        ],
    )
    def test_a_prefix_keeps_the_relative_names_below_it(self, key: str, expected: list[str]) -> None:
        """Empty or ending with a slash is a prefix."""
        assert object_keys(key, files("jan.csv", "q1/mar.csv")) == expected

    def test_an_exact_key_is_the_key_of_the_one_file(self) -> None:
        """Whatever the file is called."""
        assert object_keys("flights/2013.csv", files("jan.csv")) == ["flights/2013.csv"]
        assert object_keys("2013", files("")) == ["2013"]

    def test_no_file_gives_no_key(self) -> None:
        """What allow_empty let through."""
        assert object_keys("flights/", []) == []
        assert object_keys("flights.csv", []) == []

    def test_several_files_for_an_exact_key_are_refused(self) -> None:
        """The remedy is one character."""
        with pytest.raises(InvalidArgumentError, match=r"2 files cannot share the key 'x.csv'.*End the key with '/'"):
            object_keys("x.csv", files("a", "b"))

    def test_partitions_stand_before_the_file_name(self) -> None:
        """Between prefix and relative name; before the last part of an exact key."""
        partitions: dict[str, PartitionValue] = {"ds": "2013-01-01", "hour": 5}
        assert object_keys("f/", files("q1/a.csv"), partitions=partitions) == ["f/ds=2013-01-01/hour=5/q1/a.csv"]
        assert object_keys("f/a.csv", files("x"), partitions=partitions) == ["f/ds=2013-01-01/hour=5/a.csv"]
        assert object_keys("a.csv", files("x"), partitions=partitions) == ["ds=2013-01-01/hour=5/a.csv"]

    def test_the_suffix_of_the_compression_is_added_once_to_an_exact_key(self) -> None:
        """``a.csv.gz`` was written by someone who knows; a file of that name is packed twice and says so."""
        assert object_keys("a.csv", files("x"), suffix=".gz") == ["a.csv.gz"]
        assert object_keys("a.csv.gz", files("x"), suffix=".gz") == ["a.csv.gz"]
        assert object_keys("f/", files("a.csv", "a.csv.gz"), suffix=".gz") == ["f/a.csv.gz", "f/a.csv.gz.gz"]

    def test_what_has_no_name_needs_an_exact_key(self) -> None:
        """Text given in the DAG has no file name."""
        with pytest.raises(InvalidArgumentError, match="no file name"):
            object_keys("flights/", files(""))

    def test_two_files_with_one_key_are_refused_by_both_names(self) -> None:
        """Only one of them could be delivered."""
        first, second = (
            SourceFile("/a/x.csv", "x.csv", BytesPayload(b"")),
            SourceFile("/b/x.csv", "x.csv", BytesPayload(b"")),
        )
        with pytest.raises(InvalidArgumentError, match=r"/a/x\.csv and /b/x\.csv would both become 'f/x\.csv'"):
            object_keys("f/", [first, second])

    @pytest.mark.parametrize(
        "key", ["/", "/abs", "../up", "a/../b", "a/..", "./a", "a//b", "a//", "%2e%2e/a", "s3://b/k"]
    )
    def test_keys_that_lead_out_of_the_prefix_are_refused(self, key: str) -> None:
        """As the destination does for every key."""
        with pytest.raises(OutsideDestinationError):
            object_keys(key, files("x"))

    @pytest.mark.parametrize("key", ["a\nb", "a\x85", "a\udc80", 5, None])
    def test_keys_that_are_no_usable_text_are_refused(self, key: object) -> None:
        """Control characters, no valid Unicode, no text at all."""
        with pytest.raises(InvalidArgumentError):
            object_keys(key, files("x"))  # type: ignore[arg-type]


class TestPartitions:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("2013-01-01", "2013-01-01"),
            (date(2013, 1, 1), "2013-01-01"),
            (5, "5"),
            (-5, "-5"),
            (True, "true"),
            (False, "false"),
            (None, HIVE_NULL),
            ("America/New_York", "America%2FNew_York"),
            ("a b+c&d~e", "a b+c&d~e"),
            ("{x}", "%7Bx}"),
            ("Zürich 🛫", "Zürich 🛫"),
            ("\"#%'*/:=?\\{[]^\x7f\x01\n", "%22%23%25%27%2A%2F%3A%3D%3F%5C%7B%5B%5D%5E%7F%01%0A"),
            ("2013-01-01 05:00:00", "2013-01-01 05%3A00%3A00"),
        ],
    )
    def test_values_are_written_as_hive_writes_them(self, value: str | int | date | None, expected: str) -> None:
        """Spark, Athena and Redshift Spectrum then find the same partition."""
        assert partition_path({"p": value}) == f"p={expected}/"

    def test_the_order_of_the_mapping_is_kept(self) -> None:
        """Year before month, whatever the alphabet says."""
        assert partition_path({"year": 2013, "month": 1, "day": 2}) == "year=2013/month=1/day=2/"
        assert partition_path({}) == ""

    @given(st.text(min_size=1))
    def test_a_reader_that_undoes_the_escapes_gets_the_value_back(self, value: str) -> None:
        """Any text is either refused or survives, within one part of the key."""
        assume(value != HIVE_NULL)
        try:
            path = partition_path({"p": value})
        except InvalidArgumentError:
            return
        assert path.count("/") == 1
        assert key_problem(path.replace("%", "-").removesuffix("/")) is None
        assert unquote(path.removesuffix("/").removeprefix("p=")) == value

    @given(st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), st.text("a/.%=\\ü:", min_size=1), max_size=3))
    def test_no_value_climbs_once_its_escapes_are_undone(self, partitions: dict[str, str]) -> None:
        """Some tools decode keys before they take them for paths."""
        try:
            path = partition_path(partitions)
        except InvalidArgumentError:
            return
        assert not {".", ".."} & set(unquote(path).replace("\\", "/").split("/"))

    @pytest.mark.parametrize("value", ["..", ".", "a/../b", "..\\a", "a\u2028b", "a\x80", "\udc80", "\uffff"])
    def test_values_that_no_key_can_carry_safely_are_refused(self, value: str) -> None:
        """The error names the partition and shows the value with escapes."""
        with pytest.raises(InvalidArgumentError, match="partition 'p'") as caught:
            partition_path({"p": value})
        assert str(caught.value).isprintable()

    def test_an_empty_value_is_refused(self) -> None:
        """Hive could not tell it from NULL, and a template that gave nothing is a mistake."""
        with pytest.raises(InvalidArgumentError, match="give None"):
            partition_path({"p": ""})

    @pytest.mark.parametrize("value", [1.5, b"x", ["a"], datetime(2013, 1, 1, tzinfo=UTC)])
    def test_other_types_are_refused(self, value: object) -> None:
        """Their text would depend on who writes it."""
        with pytest.raises(InvalidArgumentError, match="type"):
            partition_path({"p": value})  # type: ignore[dict-item]

    @pytest.mark.parametrize("name", ["", "1st", "a-b", "a=b", "a/b", "ä", "a b", 5])
    def test_names_that_are_no_column_names_are_refused(self, name: object) -> None:
        """A partition becomes a column."""
        with pytest.raises(InvalidArgumentError, match="no name for a partition"):
            partition_path({name: "x"})  # type: ignore[dict-item]

    def test_a_name_in_two_cases_comes_twice(self) -> None:
        """Hive's columns know no case."""
        with pytest.raises(InvalidArgumentError, match="comes twice"):
            partition_path({"ds": 1, "DS": 2})


class TestRelativeNames:
    @pytest.mark.parametrize("name", ["a.csv", "a/b c/ü.csv", "...", "..a/b..", ".hidden", "a%20b", "a=b"])
    def test_ordinary_names_are_fine(self, name: str) -> None:
        """Spaces, hidden files and dots within a name included."""
        assert key_problem(name) is None

    @pytest.mark.parametrize("name", ["", "a/", "a//b", "..", "a/./b", "a\tb", "a\udce9"])
    def test_names_that_no_key_may_have_have_a_reason(self, name: str) -> None:
        """In words that follow the path in a message."""
        problem = key_problem(name)
        assert problem is not None
        assert problem.startswith("its name ")
