"""The same questions to DuckDB: duck.py TABLE THREADS MEMORY RUNS, questions as JSON on standard input."""

import importlib.util
import json
import pathlib
import resource
import sys
import time

import duckdb

# The extension is a file of a package.
package = importlib.util.find_spec("duckdb_extension_delta").submodule_search_locations[0]
extension = next(pathlib.Path(package).rglob("delta.duckdb_extension"))

table, threads, memory, runs = sys.argv[1:]
db = duckdb.connect()
db.execute(f"LOAD '{extension}'")
db.execute(f"set threads = {threads}; set memory_limit = '{memory}'; set TimeZone = 'UTC'")
db.execute(f"create view usage as select * from delta_scan('{table}')")


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


answers = []
for question in json.load(sys.stdin):
    walls, cpus, rows = [], [], None
    for _ in range(int(runs) + 1):
        wall_s, cpu_s = time.monotonic(), cpu()
        rows = db.execute(question).fetchall()
        walls.append(time.monotonic() - wall_s)
        cpus.append(cpu() - cpu_s)
    # The first one warms up.
    best = min(range(1, len(walls)), key=walls.__getitem__)
    rows = ["\t".join("" if v is None else str(v) for v in row) for row in rows]
    answers.append({"wall_s": walls[best], "cpu_s": cpus[best], "rows": rows})
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
print(json.dumps({"answers": answers, "peak_bytes": peak, "version": duckdb.__version__}))
