#!/usr/bin/env python3
"""Measures whole runs of the release build: time, CPU and peak memory, as the operating system accounts them.

    cargo build --release --locked && python3 benches/measure.py [--cases 10000] [--big 100000] [--runs 5]

One request a case (--baseline none --repeat 1), three matchers a case, store and all reports included. The peer is
`promptgate sim` at 0 ms latency in a process of its own on the same machine, so its work shares the cores, but its CPU is
not counted. Figures are medians; machines are noisy, so quote them with the machine's size.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "target" / "release" / "promptgate"
PROMPT = """---
model: gemini-3.8-flash
---
{{role "system"}}You answer questions about a shop. The shop opens at nine in the morning. Parcels take three days.
{{role "user"}}{{question}}
"""


def project(folder, cases):
    (folder / "prompts").mkdir(parents=True)
    (folder / "golden").mkdir()
    (folder / "prompts" / "p.prompt").write_text(PROMPT)
    with open(folder / "golden" / "cases.jsonl", "w") as file:
        for number in range(cases):
            row = {
                "id": f"case-{number:06}",
                "vars": {"question": f"When does the shop open, and who asks it as number {number}?"},
                "expect": [{"contains": "nine"}, {"regex": "(?i)open"}, {"length": {"max": 500}}],
            }
            file.write(json.dumps(row) + "\n")
    return folder


def run(arguments, folder, started=lambda pid: None):
    """Exit code, wall seconds, CPU seconds, peak memory in MiB. `started` is told the process once it runs."""
    with open(os.devnull, "w") as nothing:
        start = time.perf_counter()
        child = subprocess.Popen([BINARY, *arguments], cwd=folder, stdout=nothing, stderr=nothing)
        started(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def evaluate(folder, url, concurrency=50, **options):
    return run(
        ["eval", "--prompt", "p", "--baseline", "none", "--min-pass-rate", "0.5", "--repeat", "1", "--target", "sim",
         "--base-url", url, "--concurrency", str(concurrency), "--cache", "off", "--quiet"],
        folder,
        **options,
    )


def median(rows, column):
    return statistics.median(row[column] for row in rows)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--cases", type=int, default=10_000)
    options.add_argument("--big", type=int, default=100_000)
    options.add_argument("--runs", type=int, default=5)
    options = options.parse_args()
    sim = subprocess.Popen([BINARY, "sim", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        url = sim.stdout.readline().split()[-1]
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            rows = [run(["--version"], scratch) for _ in range(options.runs * 4)]
            print(f"start-up (--version): {median(rows, 1) * 1000:.1f} ms")
            one = project(scratch / "one", 1)
            rows = [evaluate(one, url) for _ in range(options.runs * 2)]
            print(f"a one-case run: {median(rows, 1) * 1000:.1f} ms")
            folder = project(scratch / "many", options.cases)
            rows = [evaluate(folder, url) for _ in range(options.runs)]
            assert all(row[0] == 0 for row in rows), rows
            small = median(rows, 3)
            print(f"{options.cases} cases at concurrency 50: {options.cases / median(rows, 1):.0f} requests/s, "
                  f"{median(rows, 2) / options.cases * 1e3:.3f} ms CPU a request, peak {small:.1f} MiB")
            if options.big:
                folder = project(scratch / "big", options.big)
                row = evaluate(folder, url)
                assert row[0] == 0, row
                print(f"{options.big} cases: {options.big / row[1]:.0f} requests/s, "
                      f"{row[2] / options.big * 1e3:.3f} ms CPU a request, peak {row[3]:.1f} MiB ({row[3] - small:+.1f})")
    finally:
        sim.terminate()
        sim.wait()


if __name__ == "__main__":
    main()
