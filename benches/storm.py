#!/usr/bin/env python3
"""Measures the run stage against a slow and against a failing service, with the release build.

    cargo build --release --locked && python3 benches/storm.py [--cases 10000] [--concurrency 200]

The peer is `promptgate sim` in a process of its own on the same machine, so its work shares the cores; CPU is that of the
run alone, as the operating system accounts it. One request a case (--baseline none --repeat 1), store and all reports
included. Each figure stands next to its bound; the exit code is 1 if one is missed. A busy machine misses the first ones:
200 requests that come back in the same millisecond need both cores at once.

1. 100 ms latency, no faults: requests a second from the first request to the last answer, as the simulator's log has
   them (concurrency 200 and 100 ms allow 2,000), and of the whole process, which also reads, judges and reports.
2. CPU a request of the run stage, its store included: that of its threads, as Linux counts it. With `oha`
   (https://crates.io/crates/oha) on the PATH it is compared with that of a bare load generator which sends one of the same
   bodies as often to the same server. At 100 ms, and at 0 ms.
3. 100 ms and a storm: 10% 429 (wait 1 s), 5% 503, 1% resets and 1% truncations. Every case has one answer, a bounded number
   of requests per answer, and the run's time against the union of the announced delays plus the first run's time. Once
   the 429s name a quota per minute, and once they name none.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from measure import BINARY, evaluate, project

LATENCY = 0.1  # seconds
RUNS = 3  # without faults
STORM = "{}:1s:0.1,503:0.05,reset:0.01,truncate:0.01"
TOLD = 1.0  # seconds that each 429 of the storm asks to wait
RATE = 0.95  # of what concurrency and latency allow, at least
TO_BARE = 3.0  # times the CPU of a bare load generator, at most
PER_ANSWER = 1.3  # requests, at most
TO_ANNOUNCED = 1.5  # times the announced delays and the time without faults, at most

missed = []


def held(name, figure, bound, holds):
    """Prints a figure with its bound."""
    print(f"  {name}: {figure} (bound: {bound}){'' if holds else ' MISSED'}")
    if not holds:
        missed.append(name)


@contextlib.contextmanager
def simulator(folder, *arguments):
    """A simulator; yields its URL, and what reads its log."""
    log = folder / "sim.jsonl"
    command = [BINARY, "sim", "--port", "0", "--log", log, *arguments]
    sim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield sim.stdout.readline().split()[-1], lambda: [json.loads(line) for line in log.read_text().splitlines()]
    finally:
        sim.terminate()
        sim.communicate()


def covered(starts):
    """Seconds in which an announced delay runs; delays that overlap count once."""
    total, end = 0.0, float("-inf")
    for start in sorted(starts):
        total += max(0.0, start + TOLD - max(start, end))
        end = max(end, start + TOLD)
    return total


def answered(folder):
    """How often each case was answered, and the attempts of all."""
    counts, attempts = {}, 0
    for line in (folder / "reports" / "results.jsonl").read_text().splitlines():
        row = json.loads(line)
        attempts += row["attempts"]
        if row["answer"] is not None:
            counts[row["case"]] = counts.get(row["case"], 0) + 1
    return counts, attempts


class Stage:
    """The CPU of the run stage: what its threads have used when they were last seen."""

    THREADS = ("run", "store")

    def __init__(self):
        self.used = {}

    def watch(self, pid):
        threading.Thread(target=self.look, args=[pathlib.Path(f"/proc/{pid}/task")]).start()

    def look(self, tasks):
        named = {}
        while tasks.exists():
            for task in os.listdir(tasks):
                # A thread that ends meanwhile was seen a moment ago.
                with contextlib.suppress(OSError):
                    # A new thread bears the name of its parent at first.
                    if named.get(task) not in self.THREADS:
                        named[task] = (tasks / task / "comm").read_text().strip()
                    if named[task] in self.THREADS:
                        self.used[task] = int((tasks / task / "schedstat").read_text().split()[0])
            time.sleep(0.005)

    def seconds(self):
        return sum(self.used.values()) / 1e9


def bare(folder, url, requests, concurrency):
    """CPU seconds a request of oha with the body of the first case; `None` without oha."""
    oha = shutil.which("oha")
    if oha is None:
        return None
    shown = subprocess.run([BINARY, "prompt", "render", "p", "--case", "case-000000"], cwd=folder, check=True,
                           capture_output=True, text=True).stdout
    body = json.dumps(json.loads(shown[shown.index("{"):]), separators=(",", ":"))
    child = subprocess.Popen(
        [oha, "--no-tui", "-n", str(requests), "-c", str(concurrency), "-m", "POST", "-T", "application/json", "-d", body,
         f"{url}/v1beta/models/gemini-3.8-flash:generateContent"],
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, child.returncode
    return (usage.ru_utime + usage.ru_stime) / requests


def calm(scratch, cases, concurrency, latency):
    """Runs without faults, the best of which counts: what else the machine does only adds. Returns the wall seconds."""
    print(f"{cases} cases at concurrency {concurrency} and {latency * 1000:.0f} ms, best of {RUNS} runs:")
    folder = project(scratch / f"calm-{latency}", cases)
    with simulator(folder, "--latency", f"{latency * 1000:.0f}ms") as (url, log):
        stages = [Stage() for _ in range(RUNS)]
        runs = [evaluate(folder, url, concurrency, started=stage.watch) for stage in stages]
        rows = log()
        assert all(run[0] == 0 for run in runs) and len(rows) == RUNS * cases, (runs, len(rows))
        yardsticks = [bare(folder, url, cases, concurrency) for _ in range(RUNS)]
    wall, whole = min(run[1] for run in runs), min(run[2] for run in runs)
    stage = min(stage.seconds() for stage in stages) / cases
    ends = [[row["at_ms"] / 1000 for row in rows[start:start + cases]] for start in range(0, len(rows), cases)]
    rate = cases / (min(max(run) - min(run) for run in ends) + latency)
    if latency:
        limit = concurrency / latency
        held("requests/s, first request to last answer", f"{rate:.0f}", f">= {RATE * limit:.0f} of {limit:.0f}",
             rate >= RATE * limit)
    else:
        print(f"  requests/s, first request to last answer: {rate:.0f}")
    print(f"  requests/s, whole process: {cases / wall:.0f} ({wall:.2f} s)")
    print(f"  CPU a request, whole process: {whole / cases * 1e3:.3f} ms")
    if None in yardsticks:
        print(f"  CPU a request, run stage: {stage * 1e3:.3f} ms (no oha on the PATH to compare with)")
    else:
        bar = min(yardsticks)
        held("CPU a request, run stage", f"{stage * 1e3:.3f} ms, {stage / bar:.2f}x oha's {bar * 1e3:.3f} ms",
             f"<= {TO_BARE}x", stage <= TO_BARE * bar)
    return wall


def storm(scratch, cases, concurrency, without, refusal):
    """A run through a storm of refusals."""
    faults = STORM.format(refusal)
    print(f"{cases} cases, {faults}:")
    folder = project(scratch / refusal, cases)
    with simulator(folder, "--latency", f"{LATENCY * 1000:.0f}ms", "--fault", faults) as (url, log):
        code, wall, cpu, _ = evaluate(folder, url, concurrency)
        rows = log()
    counts, attempts = answered(folder)
    announced = covered(row["at_ms"] / 1000 for row in rows if row["status"] == 429)
    twice = sum(count > 1 for count in counts.values())
    least = announced + without
    held("cases lost, answered twice", f"{cases - len(counts)}, {twice}; exit {code}", "0, 0; exit 0",
         len(counts) == cases and not twice and code == 0)
    held("attempts counted, requests seen", f"{attempts}, {len(rows)}", "equal", attempts == len(rows))
    held("requests an answer", f"{len(rows) / cases:.3f}", f"<= {PER_ANSWER}", len(rows) <= PER_ANSWER * cases)
    held("time", f"{wall:.2f} s, {wall / least:.2f}x of {announced:.2f} s announced + {without:.2f} s without faults",
         f"<= {TO_ANNOUNCED}x", wall <= TO_ANNOUNCED * least)
    print(f"  CPU a request, whole process: {cpu / len(rows) * 1e3:.3f} ms")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--cases", type=int, default=10_000)
    options.add_argument("--concurrency", type=int, default=200)
    options = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        without = calm(scratch, options.cases, options.concurrency, LATENCY)
        calm(scratch, options.cases, options.concurrency, 0.0)
        for refusal in ["429", "429-retry"]:
            storm(scratch, options.cases, options.concurrency, without, refusal)
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
