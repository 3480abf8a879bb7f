"""Files as those who receive them read them: with pyarrow, DuckDB, pandas and polars.

Each reader gives the values of every column as Python's own, in the order of ``k``.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from tests.golden.cases import JSON, UTC, Column, Value, same
from tests.golden.dumping import Way, dump, parquet_table
from tests.golden.golden_table import ROWS

__all__ = ["READERS", "READ_BACK", "Reader", "check_reader", "readable", "write_file"]

Values = Mapping[str, Sequence[Any]]
Reader = Callable[[Path, Sequence[Column]], Values]

_JSON_OPTIONS = {"non_finite": "null", "exact_numbers": "text"}
"""What these readers need: all but pyarrow take a number in JSON for a double, and none has NaN."""


def _of_arrow(table: pa.Table) -> Values:
    return {name: column.to_pylist() for name, column in zip(table.column_names, table.columns, strict=True)}


def _of_duckdb(query: str) -> Values:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql(f"SELECT * FROM {query} ORDER BY k::INTEGER")
        rows = found.fetchall()
        return {name: [row[i] for row in rows] for i, name in enumerate(found.columns)}


def _of_pandas(frame: pd.DataFrame) -> Values:
    def plain(value: Any) -> Any:
        if value is pd.NA or value is pd.NaT:
            return None
        return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value

    return {name: [plain(value) for value in frame[name].tolist()] for name in frame}


def _of_polars(frame: pl.DataFrame) -> Values:
    return {name: frame[name].to_list() for name in frame.columns}


def _pandas_csv(path: Path, _: Sequence[Column]) -> Values:
    # it makes one of NULL and the empty string, whatever it is told
    found = _of_pandas(pd.read_csv(path, dtype=str, keep_default_na=False))
    return {name: [value or None for value in values] for name, values in found.items()}


def _pyarrow_csv(path: Path, columns: Sequence[Column]) -> Values:
    convert = pyarrow.csv.ConvertOptions(
        column_types={column.name: pa.string() for column in columns},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    return _of_arrow(pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert))


def _pyarrow_json(path: Path, columns: Sequence[Column]) -> Values:
    schema = pa.schema([(column.name, _in_json(column.arrow)) for column in columns])
    parse = pyarrow.json.ParseOptions(explicit_schema=schema)
    return _of_arrow(pyarrow.json.read_json(path, parse_options=parse))


def _in_json(kind: pa.DataType) -> pa.DataType:
    """What stands in the file for a type: text, but for numbers that a double holds, and booleans."""
    small = pa.types.is_integer(kind) and kind not in (pa.int64(), pa.uint64())
    return kind if small or pa.types.is_floating(kind) or pa.types.is_boolean(kind) else pa.string()


def _duckdb_json(path: Path, columns: Sequence[Column]) -> Values:
    types = ", ".join(f"'{column.name}': '{_duckdb_type(column.arrow)}'" for column in columns)
    return _of_duckdb(f"read_json('{path}', format = 'newline_delimited', columns = {{'k': 'INTEGER', {types}}})")


def _duckdb_type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    names = {
        pa.bool_(): "BOOLEAN",
        pa.float32(): "FLOAT",
        pa.float64(): "DOUBLE",
        pa.date32(): "DATE",
        pa.time64("us"): "TIME",
        pa.timestamp("us"): "TIMESTAMP",
        UTC: "TIMESTAMPTZ",
        pa.string(): "VARCHAR",
        pa.binary(): "VARCHAR",
        JSON: "VARCHAR",
    }
    sizes = {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}
    return names.get(kind) or ("U" if str(kind).startswith("u") else "") + sizes[kind.bit_width]


def _polars_json(path: Path, columns: Sequence[Column]) -> Values:
    # it knows no small types here; a float of 32 bits survives the way through 64
    kinds = {column.name: _polars_type(_in_json(column.arrow)) for column in columns}
    frame = pl.read_ndjson(path, schema={"k": pl.Int64(), **kinds})
    small = [column.name for column in columns if column.arrow == pa.float32()]
    return _of_polars(frame.with_columns(pl.col(small).cast(pl.Float32)) if small else frame)


def _polars_type(kind: pa.DataType) -> pl.DataType:
    if pa.types.is_boolean(kind):
        return pl.Boolean()
    if pa.types.is_integer(kind):
        return pl.Int64()
    return pl.Float64() if pa.types.is_floating(kind) else pl.String()


def _pandas_json(path: Path, columns: Sequence[Column]) -> Values:
    frame = pd.read_json(path, lines=True, dtype=False, convert_axes=False, precise_float=True)
    found = {name: [None if value != value else value for value in frame[name].tolist()] for name in frame}
    for column in columns:
        if pa.types.is_integer(column.arrow) or pa.types.is_floating(column.arrow):
            # beside NULL an integer becomes a double, which holds those that are numbers in the file
            values = pa.array([None if v is None else float(v) for v in found[column.name] if type(v) is not str])
            if len(values) == len(frame):
                found[column.name] = values.cast(column.arrow, safe=False).to_pylist()
    return found


READERS: Mapping[str, Mapping[str, Reader]] = {
    "parquet": {
        "pyarrow": lambda path, _: _of_arrow(parquet_table(path.read_bytes())),
        "duckdb": lambda path, _: _of_duckdb(f"'{path}'"),
        "pandas": lambda path, _: _of_pandas(pd.read_parquet(io.BytesIO(path.read_bytes()), dtype_backend="pyarrow")),
        "polars": lambda path, _: _of_polars(pl.read_parquet(path)),
    },
    "csv": {
        "pyarrow": _pyarrow_csv,
        "duckdb": lambda path, _: _of_duckdb(f"read_csv('{path}', all_varchar = true, allow_quoted_nulls = false)"),
        "pandas": _pandas_csv,
        "polars": lambda path, _: _of_polars(pl.read_csv(path, infer_schema=False)),
    },
    "jsonl": {
        "pyarrow": _pyarrow_json,
        "duckdb": _duckdb_json,
        "pandas": _pandas_json,
        "polars": _polars_json,
    },
}

READ_BACK = [(format_, name) for format_, named in READERS.items() for name in named]
"""The parameters of a test of every reader."""


def readable(columns: Sequence[Column]) -> list[Column]:
    """Those without the values that one of the readers refuses, which the page on types lists."""
    return [column for column in columns if not column.name.endswith("few_can_read")]


def write_file(path: Path, hook: Any, columns: Sequence[Column], format_: str, way: Way, quote: str) -> None:
    """Dump these columns of the golden table to a file, in the way that readers of its format need."""
    names = ", ".join(f"{quote}{column.name}{quote}" for column in columns)
    options = _JSON_OPTIONS if format_ == "jsonl" else None
    types = {"k": "int32"}
    if format_ == "jsonl":
        types |= {column.name: "string" for column in columns if column.arrow == JSON}
    sql = f"SELECT k, {names} FROM {ROWS}"
    if format_ == "csv" and way.untouched:
        types = {}
    path.write_bytes(dump(hook, sql, format_, way, options=options, column_types=types))


def check_reader(path: Path, format_: str, name: str, columns: Sequence[Column], *, untouched: bool) -> None:
    """Every value of a file, as a reader reads it: text of CSV, types of Parquet, and of JSON what it has.

    :param untouched: whether CSV is the server's own.
    """
    found = READERS[format_][name](path, columns)
    order = sorted(range(len(found["k"])), key=lambda row: int(found["k"][row]))
    wrong = []
    for column in columns:
        cells = [found[column.name][row] for row in order]
        if format_ == "csv" and not untouched and pa.types.is_floating(column.arrow):
            cells = pa.array([cell if cell is None else float(cell) for cell in cells]).cast(column.arrow).to_pylist()
        wanted = [_wanted(column, value, format_, name, untouched=untouched) for value in column.values]
        wanted += [None] * (len(cells) - len(wanted))
        pairs = zip(cells, wanted, strict=True)
        wrong += [f"{column.name}: {cell!r} instead of {want!r}" for cell, want in pairs if not same(cell, want)]
    assert not wrong, "\n".join(wrong)


def _wanted(column: Column, value: Value, format_: str, name: str, *, untouched: bool) -> Any:
    found = column.parquet(value)
    if format_ == "parquet" or (format_ == "csv" and not untouched and isinstance(found, float)):
        return found
    if format_ == "csv":
        return column.csv(value, untouched=untouched) or (None if name == "pandas" else "")
    if column.arrow == JSON:
        return value.text
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    typed = name == "duckdb" and column.arrow != pa.binary()
    return found if typed or _in_json(column.arrow) == column.arrow else str(column.json(value))
