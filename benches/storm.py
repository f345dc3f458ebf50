#!/usr/bin/env python3
"""Measures the run stage against a slow and against a failing service, with the release build.

    cargo build --release --locked && python3 benches/storm.py [--cases 10000] [--concurrency 200]

The peer is `promptgate sim` in a process of its own on the same machine, so its work shares the cores; CPU is that of the
run alone, as the operating system accounts it. Three runs, one request a case (--baseline none --repeat 1), store and all
reports included:

1. 100 ms latency, no faults: requests a second (concurrency 200 and 100 ms allow 2,000), CPU a request.
2. The same with 10% 429 (a quota per minute, RetryInfo 1 s), 5% 503, 1% resets and 1% truncations: every case has one
   answer, requests per answer, and the run's time against the union of the announced delays plus the first run's time.
3. 0 ms latency: CPU a request without a wait.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

from measure import BINARY, evaluate, project

STORM = "429:1s:0.1,503:0.05,reset:0.01,truncate:0.01"
TOLD = 1.0  # seconds that each 429 of the storm asks to wait


def against(arguments, folder, concurrency):
    """Exit code, wall seconds, CPU seconds; requests that the simulator saw, and seconds its delays cover."""
    log = folder / "sim.jsonl"
    command = [BINARY, "sim", "--port", "0", "--log", log, *arguments]
    sim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        url = sim.stdout.readline().split()[-1]
        code, wall, cpu, _ = evaluate(folder, url, concurrency)
    finally:
        sim.terminate()
        sim.communicate()
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return code, wall, cpu, len(rows), covered(row["at_ms"] / 1000 for row in rows if row["status"] == 429)


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


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--cases", type=int, default=10_000)
    options.add_argument("--concurrency", type=int, default=200)
    options = options.parse_args()
    cases, concurrency = options.cases, options.concurrency
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        calm = against(["--latency", "100ms"], project(scratch / "calm", cases), concurrency)
        assert calm[0] == 0 and calm[3] == cases, calm
        print(f"{cases} cases at concurrency {concurrency} and 100 ms: {cases / calm[1]:.0f} requests/s "
              f"({calm[1]:.2f} s), {calm[2] / cases * 1e3:.3f} ms CPU a request")
        folder = project(scratch / "storm", cases)
        code, wall, cpu, requests, announced = against(
            ["--latency", "100ms", "--fault", STORM], folder, concurrency)
        counts, attempts = answered(folder)
        lost = cases - len(counts)
        twice = sum(count > 1 for count in counts.values())
        print(f"{STORM}: exit {code}, {len(counts)} answered, {lost} lost, {twice} answered twice; "
              f"{requests} requests ({requests / cases:.3f} an answer, {attempts} attempts counted); {wall:.2f} s "
              f"against {announced:.2f} s announced + {calm[1]:.2f} s without faults: "
              f"{wall / (announced + calm[1]):.2f}x; {cpu / requests * 1e3:.3f} ms CPU a request")
        code, wall, cpu, requests, _ = against([], project(scratch / "fast", cases), concurrency)
        assert code == 0 and requests == cases, (code, requests)
        print(f"0 ms: {cases / wall:.0f} requests/s, {cpu / cases * 1e3:.3f} ms CPU a request")


if __name__ == "__main__":
    main()
