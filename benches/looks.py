#!/usr/bin/env python3
"""Tries to be lucky, seed by seed, with the release build and a service that draws every answer anew.

    cargo build --release --locked && python3 benches/looks.py [--seeds 200] [--cases 200] [--rolls 4]

The candidate is worse by just the margin. An honest run is the first complete look. Against it stand runs that roll a part until it
pleases (budget, --limit, --case), roll whole runs, respell the prompt, loosen the margin, or try fresh keys, each of them followed by
a plain run. Nothing may be promotable at the end that was not so at its first complete look; the exit code is 1 if anything is. A fresh key is
the one open way to a second look: how often it is promotable is printed, and a second fresh key may never be.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import functools
import http.server
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "target" / "release" / "promptgate"
LOSS = 0.05
PROMPT = '{{{{role "system"}}}}{}\n{{{{role "user"}}}}{{{{question}}}}\n'


def response(text):
    """Headers and body in one piece, so that no small packet waits for an acknowledgement."""
    part = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    body = json.dumps({"candidates": [part], "usageMetadata": usage, "modelVersion": "gemini-3.8-flash"})
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


RIGHT, WRONG = response("nine"), response("ten")


def service(seed):
    """A server whose n-th answer to a question under the new prompt is wrong with the chance of the loss."""
    times, lock = collections.Counter(), threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            reply = RIGHT
            if "New" in body:
                number = re.search(r"What is (\d+)", body)[1]
                with lock:
                    times[number] += 1
                    nth = times[number]
                if random.Random(f"{seed} {number} {nth}").random() < LOSS:
                    reply = WRONG
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Project:
    def __init__(self, folder, cases, seed):
        self.folder, self.server = pathlib.Path(folder), service(seed)
        for name in ("prompts", "golden"):
            (self.folder / name).mkdir()
        self.write("prompts/v1.prompt", PROMPT.format("Old."))
        self.write("prompts/v2.prompt", PROMPT.format("New."))
        rows = "".join(f"c-{number},What is {number}?,nine,contains\n" for number in range(cases))
        self.write("golden/cases.csv", "id,question,expected,matcher\n" + rows)

    def write(self, path, text):
        (self.folder / path).write_text(text)

    def promotable(self, *options):
        url = f"http://127.0.0.1:{self.server.server_address[1]}"
        command = [BINARY, "eval", "--prompt", "v2", "--baseline", "v1", "--target", "gemini", "--base-url", url]
        environment = {"PATH": os.environ["PATH"], "GEMINI_API_KEY": "test-key-0123456789"}
        command += ["--repeat", "1", "--quiet", *options]
        verdict = self.folder / "reports" / "verdict.json"
        verdict.unlink(missing_ok=True)  # A run that is refused must not pass for the one before.
        subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, check=False)
        return json.loads(verdict.read_text())["promotable"]


def attacks(cases, rolls):
    """Name, and what is done before each run that may end promotable, with the options of all runs."""
    nothing = lambda project, roll: None
    respell = lambda project, roll: project.write("prompts/v2.prompt", PROMPT.format("New." + " " * (roll + 1)))
    part = lambda *options: [[*options, "--cache", "refresh"]] * rolls + [[]]
    fresh = [["--fresh-key", f"try {roll}"] for roll in range(rolls)]
    parts = [[*key, "--limit", str(cases - 1 - roll)] for roll, key in enumerate(fresh)]
    return {
        "budget": (nothing, part("--max-requests", str(2 * cases - 1))),
        "limit": (nothing, part("--limit", str(cases - 1))),
        "all but one": (nothing, part("--case", *(f"c-{number}" for number in range(1, cases)))),
        "refresh": (nothing, [[]] + part()),
        "white space": (respell, [[]] * (rolls + 1)),
        "margin": (nothing, [[], ["--margin", "0.08"], ["--margin", "0.1", "--tolerance", "0.1"]]),
        "fresh keys, then none": (nothing, fresh + [[]]),
        "fresh keys over parts": (nothing, [[]] + parts + fresh[-1:]),
    }


@contextlib.contextmanager
def project(cases, seed):
    """In memory where there is a file system for it, since the store syncs each answer."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        opened = Project(folder, cases, seed)
        yield opened
        opened.server.shutdown()


def seed_of(seed, cases, rolls):
    """Whether the first complete look was promotable, whether one fresh key was, and which runs were that may not be."""
    with project(cases, seed) as honest:
        first = honest.promotable()
        fresh, again = (honest.promotable("--fresh-key", f"try {number}") for number in (1, 2))
    lucky = [f"seed {seed}: a second fresh key"] if again and not first and not fresh else []
    for name, (before, runs) in attacks(cases, rolls).items():
        with project(cases, seed) as attacked:
            for roll, options in enumerate(runs):
                before(attacked, roll)
                if attacked.promotable(*options) and not first:
                    lucky.append(f"seed {seed}: {name}, run {roll + 1}")
    return first, fresh, lucky


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seeds", type=int, default=200)
    options.add_argument("--cases", type=int, default=200)
    options.add_argument("--rolls", type=int, default=4)
    options = options.parse_args()
    # A process a seed: the service and its clients share no interpreter lock with another seed's.
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        run = functools.partial(seed_of, cases=options.cases, rolls=options.rolls)
        firsts, fresh, lucky = zip(*pool.map(run, range(options.seeds)))
    lucky = [line for lines in lucky for line in lines]
    either = sum(first or second for first, second in zip(firsts, fresh))
    print(f"promotable at the first complete look:         {sum(firsts)} of {options.seeds}")
    print(f"promotable then, or with one fresh key:        {either} of {options.seeds}")
    print(f"promotable later, and not then:                {len(lucky)}")
    print("\n".join(lucky))
    return bool(lucky)


if __name__ == "__main__":
    sys.exit(main())
