"""The report on an output that knows ASCII only, and one that is long."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from airflow_xacct.verify.claims import Claims
from airflow_xacct.verify.report import Extra, ObjectReport, Report
from airflow_xacct.verify.screen import Screen

REPORT = Report(
    uri="s3://acme-landing/airflow/_manifest.json",
    place="s3://acme-landing/airflow/",
    expected_owner="222222222222",
    looked_as="arn:aws:iam::222222222222:user/receiver",
    recompute=False,
    strict=False,
    claims=Claims(state="complete", about={"dag_id": "d\x1b[2J"}),
    objects=(ObjectReport(url="s3://acme-landing/airflow/größe\u202egnp.csv", size_bytes=1),),
)


def shown(report: Report, encoding: str) -> str:
    sink = io.BytesIO()
    stream = io.TextIOWrapper(sink, encoding=encoding, write_through=True)
    Screen(Console(file=stream, highlight=False)).show(report)
    return sink.getvalue().decode(encoding)


def test_an_output_of_ascii_gets_ascii() -> None:
    """A log in the C locale is no reason to fail."""
    text = shown(REPORT, "ascii")
    assert "gr??e?gnp.csv" in text
    assert "ok" in text


def test_foreign_names_move_no_cursor() -> None:
    """Neither escapes nor characters that turn text around."""
    text = shown(REPORT, "utf-8")
    assert "größe\N{REPLACEMENT CHARACTER}gnp.csv" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_what_is_long_is_cut_and_counted() -> None:
    """The first of each kind, and how many more."""
    objects = tuple(
        ObjectReport(url=f"s3://acme-landing/airflow/{n}", problems=("it is not there",)) for n in range(60)
    )
    extra = Extra(count=5000, keys=tuple(f"airflow/x{n}" for n in range(1000)), complete=False)
    text = shown(replace(REPORT, objects=objects, extra=extra), "utf-8")
    assert "and 10 objects more that are not as the manifest says" in text
    assert "at least 5,000 objects" in text
    assert "and 4,990 more" in text
    assert len(text.splitlines()) < 140


@pytest.mark.parametrize(
    ("one", "verdict"),
    [
        (ObjectReport(url="a"), "true"),
        (ObjectReport(url="a", notes=("n",)), "true"),
        (ObjectReport(url="a", unseen=("u",)), "unseen"),
        (ObjectReport(url="a", unseen=("u",), problems=("p",)), "false"),
    ],
)
def test_only_what_was_looked_at_is_true(one: ObjectReport, verdict: str) -> None:
    """Of an object as of the delivery; the report is JSON whatever is in it."""
    report = replace(REPORT, objects=(ObjectReport(url="b"), one))
    assert one.verdict == report.verdict == verdict
    assert json.loads(json.dumps(report.to_json()))["verdict"] == verdict
