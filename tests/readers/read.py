#!/usr/bin/env python3
"""What clients that others wrote read: the lake's files by DuckDB, Polars, pandas and deltalake, SQL by psycopg.

Prints one JSON object: by reader, by question, the rows, all numbers as integers and all else as text.
"""

import importlib.util
import json
import pathlib
import sys

import deltalake
import duckdb
import polars
import psycopg

lake, host, port, token = sys.argv[1:]


def plain(rows):
    return [[v if isinstance(v, int) or v is None else str(v) for v in row] for row in rows]


# By table, columns to group by, and numbers to add up.
QUESTIONS = {
    "usage": ("usage", ["tenant", "model"], ["input_tokens", "output_tokens"]),
    "refused": ("refused", ["tenant", "code"], ["bytes"]),
    "reference": ("reference", ["type", "event"], []),
}


def by_duckdb(table, by, sums):
    columns = ", ".join(by)
    numbers = "".join(f", sum({s})::BIGINT" for s in sums)
    return connection.execute(
        f"select {columns}, count(*){numbers} from delta_scan('{lake}/{table}') group by {columns} order by {columns}"
    ).fetchall()


def by_polars(table, by, sums):
    frame = polars.scan_delta(f"{lake}/{table}")
    grouped = frame.group_by(by).agg([polars.len()] + [polars.col(s).sum() for s in sums])
    return grouped.sort(by, nulls_last=True).collect().rows()


def by_pandas(table, by, sums):
    frame = deltalake.DeltaTable(f"{lake}/{table}").to_pandas()
    grouped = frame.groupby(by, dropna=False)
    rows = []
    for key, part in grouped:
        key = [None if k != k else k for k in key]
        rows.append(key + [len(part)] + [int(part[s].sum()) for s in sums])
    return sorted(rows, key=lambda row: [(v is None, v) for v in row])


def by_psycopg(table, by, sums):
    columns = ", ".join(by)
    numbers = "".join(f", sum({s})" for s in sums)
    conninfo = f"host={host} port={port} user=me dbname=gravity password={token} sslmode=disable"
    with psycopg.connect(conninfo, autocommit=True) as client:
        return client.execute(
            f"select {columns}, count(*){numbers} from lake.{table} where tenant <> %s group by {columns} order by {columns}",
            ["nobody"],
        ).fetchall()


# The extension is a file of a package.
package = importlib.util.find_spec("duckdb_extension_delta").submodule_search_locations[0]
extension = next(pathlib.Path(package).rglob("delta.duckdb_extension"))
connection = duckdb.connect()
connection.execute(f"LOAD '{extension}'")

readers = {"duckdb": by_duckdb, "polars": by_polars, "pandas": by_pandas, "psycopg": by_psycopg}
print(
    json.dumps(
        {
            name: {question: plain(read(*of)) for question, of in QUESTIONS.items()}
            for name, read in readers.items()
        }
    )
)
