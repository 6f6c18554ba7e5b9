#!/usr/bin/env python3
"""Runs test binaries, several at a time: many wait for brokers, disks and restarts, so that one alone leaves cores idle.

  cargo test --workspace --no-run --message-format json | run_tests.py [--jobs N] [NAME=COMMAND ..]

Reads what cargo built. Each binary runs in its package's folder, as `cargo test` does it; a COMMAND is one more job. What a job says
is shown whole when it ends. Exits with 1 if one fails, and names those."""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

# The longest first, so that none of them is alone at the end.
LONG = ["tutorial", "kafka_end_to_end", "crash", "hostile_input", "kinds", "chaos", "pages", "non_interference", "runtime", "kafka",
        "lake", "erase", "power_loss", "similarity"]
SAY_EVERY_S = 60


def binaries(lines):
    """What cargo built for tests: (name, command, folder)."""
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            print(line, end="", file=sys.stderr)
            continue
        if message.get("executable") and message.get("profile", {}).get("test"):
            package = os.path.dirname(message["manifest_path"])
            kind = "" if message["target"]["kind"] == ["test"] else " (unit)"
            name = os.path.normpath(os.path.join(os.path.relpath(package), message["target"]["name"]))
            yield name + kind, [message["executable"]], package


def target(job):
    return os.path.basename(job[0])


def run(name, command, folder):
    began = time.monotonic()
    # The environment is what cargo had: with more `CARGO_*` a job that calls cargo would build hundreds of crates anew.
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return name, done.returncode, time.monotonic() - began, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("more", nargs="*", metavar="NAME=COMMAND")
    options = parser.parse_args()
    jobs = list(binaries(sys.stdin))
    if not jobs:
        sys.exit("run_tests: cargo built no tests")
    for more in options.more:
        name, command = more.split("=", 1)
        jobs.append((name, shlex.split(command), os.getcwd()))
    jobs.sort(key=lambda job: LONG.index(target(job)) if target(job) in LONG else len(LONG))
    failed, took = [], []
    running = {}

    def tracked(job):
        running[job[0]] = time.monotonic()
        try:
            return run(*job)
        finally:
            del running[job[0]]

    with ThreadPoolExecutor(options.jobs) as pool:
        waiting = {pool.submit(tracked, job) for job in jobs}
        while waiting:
            done, waiting = wait(waiting, SAY_EVERY_S, FIRST_COMPLETED)
            for future in done:
                name, code, seconds, out = future.result()
                took.append((seconds, name))
                if code:
                    failed.append(name)
                print(f"\n== {name}: {'ok' if code == 0 else f'FAILED ({code})'} in {seconds:.0f} s", flush=True)
                sys.stdout.buffer.write(out)
                sys.stdout.flush()
            if not done:
                now = time.monotonic()
                since = ", ".join(f"{name} for {now - at:.0f} s" for name, at in sorted(running.items()))
                print(f"-- {len(waiting)} to go; running: {since}", flush=True)
    slowest = ", ".join(f"{name} {seconds:.0f} s" for seconds, name in sorted(took, reverse=True)[:8])
    print(f"\n{len(jobs)} jobs; the slowest: {slowest}")
    if failed:
        sys.exit("FAILED: " + ", ".join(sorted(failed)))


main()
