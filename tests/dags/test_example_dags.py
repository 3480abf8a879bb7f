"""Each example DAG, run by Airflow as it is; what counts is what the receiving account finds in its bucket."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow_xacct.demo.checks import Landing, check_delivery
from airflow_xacct.demo.traffic import check_traffic
from airflow_xacct.sandbox import Scenario
from tests.dags.dag_runs import RunDag

SALES_ROWS = {"emea/berlin": 120, "emea/paris": 80, "apac/tokyo": 200}


def _days() -> set[str]:
    """Today, and yesterday in case midnight has just passed."""
    now = datetime.now(UTC)
    return {str(now.date()), str((now - timedelta(minutes=10)).date())}


def test_upload_file(run_dag: RunDag, xacct_accounts: Scenario) -> None:
    """One file arrives at its key, byte by byte, put by the role's session."""
    ran = run_dag("xacct_upload_file")
    assert ran.exit_status == 0, ran.output
    (key,) = xacct_accounts.account_b.objects(xacct_accounts.bucket)
    day = key.removeprefix("airflow/reports/").removesuffix(".json")
    assert day in _days()
    body = xacct_accounts.account_b.read(xacct_accounts.bucket, key)
    assert json.loads(body) == {"day": day, "orders": 1418, "revenue": "51210.40"}
    writers = {request.caller_arn.split("/")[1] for request in xacct_accounts.box.requests if request.key == key}
    assert writers == {"DataDumpRole"}


def test_upload_directory(run_dag: RunDag, xacct_accounts: Scenario) -> None:
    """A tree arrives as one Hive partition, packed, with a manifest that names all of it in Redshift's form."""
    ran = run_dag("xacct_upload_directory")
    assert ran.exit_status == 0, ran.output
    b, bucket = xacct_accounts.account_b, xacct_accounts.bucket
    objects = b.objects(bucket)
    prefix = next(iter(objects)).partition("ds=")[0] + "ds=" + next(iter(objects)).partition("ds=")[2][:10] + "/"
    assert prefix in {f"airflow/sales/ds={day}/" for day in _days()}
    expected = {f"{prefix}{store}.csv.gz" for store in SALES_ROWS}
    assert set(objects) == {*expected, f"{prefix}_manifest.json"}
    for store, rows in SALES_ROWS.items():
        text = gzip.decompress(b.read(bucket, f"{prefix}{store}.csv.gz")).decode()
        assert text == "sale,amount\n" + "".join(f"{n},{n}.50\n" for n in range(rows))
    manifest = json.loads(b.read(bucket, f"{prefix}_manifest.json"))
    assert {entry["url"] for entry in manifest["entries"]} == {f"s3://{bucket}/{key}" for key in expected}
    for entry in manifest["entries"]:
        assert entry["mandatory"] is True
        assert entry["meta"] == {"content_length": objects[entry["url"].removeprefix(f"s3://{bucket}/")]}


def test_chained_dumps(run_dag: RunDag, xacct_accounts: Scenario, airflow_home: Path) -> None:
    """Five tables and their manifest arrive as the demo checks them, one table after the other, and no file is left."""
    ran = run_dag("xacct_chained_dumps")
    assert ran.exit_status == 0, ran.output
    partner = xacct_accounts.partner
    landing = Landing(partner.account.client("s3"), partner.bucket, partner.prefix).read()
    findings = check_delivery(landing) + check_traffic(
        list(xacct_accounts.box.requests),
        list(xacct_accounts.box.assume_role_events),
        role_arn=partner.role_arn,
        bucket_owner=partner.account.id,
        dag_id="xacct_chained_dumps",
    )
    assert [finding for finding in findings if not finding.ok] == []
    order = [event.session_name.split(".")[1] for event in xacct_accounts.box.assume_role_events]
    tables = ["airlines", "airports", "planes", "weather", "flights"]
    assert [name[: len("deliver_") + 3] for name in order[:5]] == [f"deliver_{table[:3]}" for table in tables]
    assert order[5].startswith("close_with")
    assert list((airflow_home / "tmp" / "xacct_chained_dumps").iterdir()) == []


def test_fan_out(run_dag: RunDag, xacct_accounts: Scenario) -> None:
    """One file reaches every partner's own account, each through its own role."""
    partners = [
        xacct_accounts.partner,
        xacct_accounts.add_partner("xacct_partner_c"),
        xacct_accounts.add_partner("xacct_partner_d"),
    ]
    ran = run_dag("xacct_fan_out", {"partner_conn_ids": list(xacct_accounts.partners)})
    assert ran.exit_status == 0, ran.output
    received = set()
    for partner in partners:
        (key,) = partner.account.objects(partner.bucket)
        assert key in {f"airflow/prices/{day}.csv" for day in _days()}
        received.add(partner.account.read(partner.bucket, key))
        (event,) = [e for e in xacct_accounts.box.assume_role_events if e.role_arn == partner.role_arn]
        assert event.granted
        assert event.external_id_given
    (body,) = received
    assert body.startswith(b"sku,price,valid_from\nA-1,9.90,")


def test_fan_out_goes_on_where_one_partner_is_missing(run_dag: RunDag, xacct_accounts: Scenario) -> None:
    """The run fails and names the connection; the other partner has its file all the same."""
    ran = run_dag("xacct_fan_out", {"partner_conn_ids": ["xacct_gone", "xacct_default"]})
    assert ran.exit_status != 0
    assert "ConnectionNotFoundError: the connection does not exist: 'xacct_gone'" in ran.output
    assert len(xacct_accounts.account_b.objects(xacct_accounts.bucket)) == 1
