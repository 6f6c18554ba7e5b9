"""A bulk load by DuckDB: duck.py RECORDS OUT THREADS. JSON lines become Parquet by day and tenant, once, with no log and no commit."""

import json
import resource
import sys
import time

import duckdb

records, out, threads = sys.argv[1:]
db = duckdb.connect()
db.execute(f"set threads = {threads}; set TimeZone = 'UTC'")
began = time.monotonic()
db.execute(f"""
copy (
  select tenant, cast("time" as date) as day, event, "type", data.model as model, data.input_tokens as input_tokens,
    data.output_tokens as output_tokens, data.cached_tokens as cached_tokens, data.team as team, subject, "time", id, source
  from read_json('{records}', format = 'newline_delimited', columns = {{
    tenant: 'varchar', event: 'varchar', type: 'varchar', subject: 'varchar', time: 'timestamptz', id: 'varchar', source: 'varchar',
    data: 'struct(model varchar, input_tokens bigint, output_tokens bigint, cached_tokens bigint, team varchar)'}})
  order by event, "time"
) to '{out}' (format parquet, partition_by (day, tenant), compression zstd)""")
wall_s = time.monotonic() - began
used = resource.getrusage(resource.RUSAGE_SELF)
rows = db.execute(f"select count(*) from read_parquet('{out}/**/*.parquet')").fetchone()[0]
print(json.dumps({"wall_s": wall_s, "cpu_s": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss << 10, "rows": rows,
                  "version": duckdb.__version__}))
