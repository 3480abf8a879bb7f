"""DuckDB: its PostgreSQL scanner and ``COPY ... TO 's3://...'``."""

from __future__ import annotations

from importlib.resources import files

from tests.benchmarks.clients.report import arguments, measured

asked = arguments()
server = asked["server"]
with measured():
    import duckdb

    connection = duckdb.connect()
    for extension in ("httpfs", "postgres_scanner"):
        package = files(f"duckdb_extension_{extension}")
        connection.execute(f"LOAD '{package}/extensions/v{duckdb.__version__}/{extension}.duckdb_extension'")
    connection.execute(
        "CREATE SECRET (TYPE s3, KEY_ID 'AKIASINK', SECRET 'sink', REGION 'eu-central-1', URL_STYLE 'path', "
        f"USE_SSL false, ENDPOINT '{asked['sink'].removeprefix('http://')}')"
    )
    login = " ".join(f"{name}={value}" for name, value in server.items())
    connection.execute(f"ATTACH '{login}' AS source (TYPE postgres, READ_ONLY)")
    form = {"csv": "csv, HEADER", "jsonl": "json", "parquet": "parquet"}[asked["format"]]
    connection.execute(
        f"COPY (SELECT * FROM source.{asked['table']}) TO 's3://partner-b-landing/orders.{asked['format']}' "
        f"(FORMAT {form}, COMPRESSION {asked['compression']})"
    )
