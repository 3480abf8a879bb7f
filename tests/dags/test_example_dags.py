"""Each example DAG, run by Airflow as it is; what counts is what the receiving account finds in its bucket."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from airflow_xacct.demo import nycflights
from airflow_xacct.demo.checks import NoProgress, check_delivery
from airflow_xacct.demo.receiver import Receiver
from airflow_xacct.demo.source import Source
from airflow_xacct.demo.traffic import check_order, check_traffic
from airflow_xacct.sandbox import Scenario
from airflow_xacct.verify.place import Place
from airflow_xacct.verify.reading import BucketReader
from airflow_xacct.verify.run import Verification, Wishes
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


def test_chained_dumps(run_dag: RunDag, xacct_accounts: Scenario, warehouse: tuple[Path, Source]) -> None:
    """Five tables and their manifests arrive as the demo checks them, one table after the other."""
    ran = run_dag("xacct_chained_dumps")
    assert ran.exit_status == 0, ran.output
    partner = xacct_accounts.partner
    requests, events = list(xacct_accounts.box.requests), list(xacct_accounts.box.assume_role_events)
    findings = [
        *check_delivery(Receiver(xacct_accounts), warehouse[1]),
        check_order(requests, nycflights.TABLES),
        *check_traffic(
            requests,
            events,
            role_arn=partner.role_arn,
            bucket_owner=partner.account.id,
            dag_id="xacct_chained_dumps",
        ),
    ]
    assert [finding for finding in findings if not finding.ok] == []
    order = [event.session_name.split(".")[1] for event in events]
    assert order == [f"dump_{table}" for table in nycflights.TABLES]


DAYS = ["2013-01-01", "2013-01-02", "2013-01-03"]


def _flights_of(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    """The rows of each day, as the database tells them."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT * FROM flights WHERE date(time_hour) = ?"
        return {day: set(connection.execute(query, [day]).fetchall()) for day in DAYS}


def _delivered(accounts: Scenario) -> dict[str, set[tuple[Any, ...]]]:
    """The rows of each day, as B finds them in the objects of its manifest, which must be true; none of them twice."""
    client = accounts.account_b.client("s3")
    found = {}
    for day in DAYS:
        place = Place.of(accounts.bucket, f"{accounts.prefix}flights/ds={day}/")
        reader = BucketReader(client, place, owner=accounts.account_b.id, who="account B")
        wishes = Wishes(recompute=True, strict=True)
        verification = Verification(
            reader, place, wishes, NoProgress(), owner=accounts.account_b.id, looked_as="account B"
        )
        report = verification.of_key(f"{place.prefix}_manifest.json")
        assert report.verdict == "true", report
        rows: list[tuple[Any, ...]] = []
        for entry in report.claims.entries:
            table = pq.read_table(io.BytesIO(accounts.account_b.read(accounts.bucket, entry.key)))
            rows += zip(*table.to_pydict().values(), strict=True)
        assert report.claims.rows == len(rows) == len(set(rows))
        found[day] = set(rows)
    return found


def test_daily_partitions(run_dag: RunDag, xacct_accounts: Scenario, warehouse: tuple[Path, Source]) -> None:
    """Three days, and one of them again with corrected rows: each has its rows once, and the others are not touched."""
    path, _ = warehouse
    for day in DAYS:
        ran = run_dag("xacct_daily_partition", day=day)
        assert ran.exit_status == 0, ran.output
    expected = _flights_of(path)
    assert all(len(rows) > 500 for rows in expected.values())
    assert _delivered(xacct_accounts) == expected
    b, bucket = xacct_accounts.account_b, xacct_accounts.bucket
    before = {key: b.read(bucket, key) for key in b.objects(bucket)}
    assert set(before) == {
        f"airflow/flights/ds={day}/{name}" for day in DAYS for name in ("part-00000.parquet", "_manifest.json")
    }

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE flights SET dep_delay = 1000 WHERE date(time_hour) = '2013-01-02' AND dep_time > 2000"
        )
        connection.execute("DELETE FROM flights WHERE date(time_hour) = '2013-01-02' AND dep_time IS NULL")
    ran = run_dag("xacct_daily_partition", day="2013-01-02")
    assert ran.exit_status == 0, ran.output
    corrected = _flights_of(path)
    assert corrected["2013-01-02"] != expected["2013-01-02"]
    assert _delivered(xacct_accounts) == corrected
    after = {key: b.read(bucket, key) for key in b.objects(bucket)}
    assert set(after) == set(before)
    assert {key for key in after if after[key] != before[key]} == {key for key in after if "ds=2013-01-02" in key}
    assert xacct_accounts.box.open_multipart_uploads(bucket) == []


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
