"""The order of the checks, what depends on what, and the two forms of the report."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from airflow_xacct.doctor import CHECKS, Check, Facts, Finding, Remedy, Report, examine
from airflow_xacct.doctor.answer import Answer
from airflow_xacct.doctor.checks.identity import Clock, SourceIdentity
from airflow_xacct.doctor.screen import Screen
from airflow_xacct.exceptions import NoCredentialsError
from tests.unit.doctor.doctor_facts import make_facts

PAGE = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()


class _Fixed(Check):
    title = "It is so"
    proves = "That it is so."

    def __init__(self, name: str, verdict: str, *needs: str) -> None:
        self.id, self.needs = name, needs  # type: ignore[misc]
        self._verdict = verdict

    def examine(self, facts: Facts) -> Finding:
        if self._verdict == "fail":
            return self.failed("it is not.", Remedy("B", "222222222222", "make it so."))
        if self._verdict == "raise":
            raise NoCredentialsError("there is no identity")
        return self.passed("it is.")


def test_what_depends_names_the_root() -> None:
    """Not the check just before it, but the one to mend."""
    checks = [_Fixed("a", "fail"), _Fixed("b", "pass", "a"), _Fixed("c", "pass", "b", "a"), _Fixed("d", "pass")]
    findings = {finding.id: finding for finding in examine(make_facts(), checks).findings}
    assert {name: finding.status for name, finding in findings.items()} == {
        "a": "fail",
        "b": "cannot_see",
        "c": "cannot_see",
        "d": "pass",
    }
    assert findings["c"].depends_on == ("a",)


def test_an_error_that_no_check_expects_is_never_green() -> None:
    """It says what stood in the way."""
    (finding,) = examine(make_facts(), [_Fixed("a", "raise")]).findings
    assert (finding.status, finding.evidence) == ("cannot_see", "there is no identity.")


def test_every_check_is_described() -> None:
    """On the page, and in words of its own; what it needs comes before it."""
    ids = [check.id for check in CHECKS]
    assert len(set(ids)) == len(ids)
    assert len({check.title for check in CHECKS}) == len(ids)
    for number, check in enumerate(CHECKS):
        assert f"`{check.id}`" in PAGE
        assert check.proves.endswith(".")
        assert set(check.needs) <= set(ids[:number])
    described = set(re.findall(r"^\| (`[^|]*)\|", PAGE.split("## The checks")[1].split("## ")[0], re.MULTILINE))
    assert {name for cell in described for name in re.findall(r"`([^`]+)`", cell)} == set(ids)


def test_the_fields_of_the_json_form_are_documented() -> None:
    """Programs rely on them."""
    finding = Finding("a", "A", "A.", "works", "fail", "no.", (Remedy("A", "", "do."),))
    document = Report("acme", "", "", "2026-11-24T08:00:00+00:00", (finding,)).to_dict()
    for name in (*document, *document["summary"], *document["findings"][0], *document["findings"][0]["remedies"][0]):
        assert f'"{name}"' in PAGE


@pytest.mark.parametrize(("encoding", "signs"), [("utf-8", "✔✘?→"), ("ascii", "ok|NO|?|->")])
def test_the_screen_of_any_terminal(encoding: str, signs: str) -> None:
    """Where there are no check marks, there are words."""
    sink = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    checks = [_Fixed("a", "fail"), _Fixed("b", "pass", "a"), _Fixed("c", "pass")]
    findings = (
        checks[0].failed("no.", Remedy("B", "2" * 12, "act.")),
        checks[1].unseen("dark."),
        checks[2].passed("yes."),
    )
    Screen(Console(file=sink)).report(Report("acme", "1" * 12, "2" * 12, "now", findings))
    sink.seek(0)
    text = sink.read()
    for sign in signs.split("|") if "|" in signs else signs:
        assert sign in text
    assert "Account B (222222222222): act." in text
    assert "1 passed, 1 failed, 1 cannot be seen from here. Failed: a." in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_refused_signature_is_the_clocks_fault_when_the_clock_is_wrong() -> None:
    """One fault, one finding."""
    refused = Answer(
        code="SignatureDoesNotMatch", message="Signature expired", status=403, error=NoCredentialsError("x")
    )
    told = Answer(status=403, headers={"date": "Tue, 24 Nov 2020 08:00:00 GMT"})
    facts = make_facts({"identity": refused, "sts_reached": told})
    report = examine(facts, [Clock(), SourceIdentity()])
    assert [(finding.status, finding.depends_on) for finding in report.findings] == [
        ("fail", ()),
        ("cannot_see", ("clock",)),
    ]


def test_the_root_user_can_assume_nothing() -> None:
    """AWS refuses it whatever the policies say."""
    root = Answer(data={"Arn": "arn:aws:iam::111111111111:root", "Account": "1" * 12}, status=200)
    finding = SourceIdentity().examine(make_facts({"identity": root}))
    assert finding.status == "fail"
    assert [remedy.account for remedy in finding.remedies] == ["1" * 12]
