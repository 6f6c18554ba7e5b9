#!/usr/bin/env python3
"""Writes the dashboards of this folder as Grafana's JSON; with --check only says whether those that are there are these.

  build.py [--check] FOLDER

Reading a file back through the types of Grafana's schema has to give the same bytes: it holds nothing that Grafana does not know."""

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

import burn
import event_operations
import labs
import services
import streams

DASHBOARDS = {
    "event-operations": event_operations,
    "streams": streams,
    "labs": labs,
    "burn": burn,
    "services": services,
}


def text(dashboard):
    return JSONEncoder(sort_keys=True, indent=2).encode(dashboard) + "\n"


def main():
    check, folder = "--check" in sys.argv[1:], Path(sys.argv[-1])
    wrong = [p.name for p in folder.glob("*.json") if p.stem not in DASHBOARDS]
    for name, source in DASHBOARDS.items():
        made = text(source.dashboard().build())
        if text(Dashboard.from_json(json.loads(made))) != made:
            sys.exit(f"{name}: holds what Grafana's schema does not know")
        file = folder / f"{name}.json"
        if not check:
            file.write_text(made)
        elif not file.exists() or file.read_text() != made:
            wrong.append(file.name)
    if wrong:
        sys.exit(f"not what their sources say: {', '.join(wrong)}; make them anew by build.py {folder}")


if __name__ == "__main__":
    main()
