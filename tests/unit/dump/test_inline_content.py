"""Text and bytes that are given in the DAG."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_xacct.dump.sources.inline import inline_content
from airflow_xacct.exceptions import InvalidArgumentError


@pytest.mark.parametrize(
    ("content", "expected"),
    [("", b""), ("Grüße 🛫\n", "Grüße 🛫\n".encode()), (b"", b""), (b"\x00\xff" * 50, b"\x00\xff" * 50)],
)
@pytest.mark.parametrize("size_bytes", [1, 7, 1000])
def test_text_is_sent_as_utf_8_and_bytes_as_they_are(
    read_all: Callable[..., bytes], content: str | bytes, expected: bytes, size_bytes: int
) -> None:
    """Nothing is added: no byte order mark, no line end."""
    file = inline_content(content)
    assert read_all(file.payload, size_bytes) == expected
    assert file.payload.max_size_bytes == len(expected)
    assert file.payload.open().rows is None


def test_it_has_no_name_and_messages_never_show_it() -> None:
    """What is given in a DAG may be long or private."""
    file = inline_content("salary: 1")
    assert (file.path, file.relative_name) == ("", "")
    assert file.payload.name == "the given text"
    assert inline_content(b"x").payload.name == "the given bytes"


@pytest.mark.parametrize("content", [{"a": 1}, 5, None])
def test_other_values_are_refused(content: object) -> None:
    """Guessing a serialisation would send a Python repr one day."""
    with pytest.raises(InvalidArgumentError, match=r"json\.dumps"):
        inline_content(content)  # type: ignore[arg-type]


def test_text_that_utf_8_cannot_express_is_refused() -> None:
    """The error names the position."""
    with pytest.raises(InvalidArgumentError, match="position 2"):
        inline_content("ab\udc80")
