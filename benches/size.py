#!/usr/bin/env python3
"""Measures the size of the code and its structure, now or at another revision.

    python3 benches/size.py [--rev REV] [--places] [--cpu]

Prints lines of product code (neither blank, comment nor test) in src and in src and crates, all lines of Rust, circles of files,
and names of types and modules that are participles or adverbs, which say what happened to a thing instead of what it is.
`--places` names the circles and the names. `--cpu` adds CPU seconds of a clean `cargo build` and of a clean `cargo test`, which
takes many minutes; the crates must have been downloaded before.
"""
import argparse
import collections
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Last words of a name that end in "ed" but are no participles, and those that are the names of things users know: a target.
NOUNS = {"seed", "feed", "speed", "embed", "need", "recorded", "unfinished"}
IRREGULAR = set(
    """beside besides upto itself together alike apart beyond then told taken found kept known seen said written drawn spent made
    ran came shown given held lost met sent begun chosen done gone left meant put thought understood worn wrong""".split()
)


def product_lines(text):
    """Lines of code of a file up to its tests."""
    count = 0
    lines = text.split("\n")
    for index, line in enumerate(lines):
        inline_tests = line.startswith("#[cfg(test)]") and index + 1 < len(lines)
        if inline_tests and re.match(r"mod \w+ \{", lines[index + 1]):
            break
        code = line.strip()
        count += bool(code) and not code.startswith("//")
    return count


def is_test(path):
    return "tests" in path.parts[-1] or "tests" in path.parts[:-1] or path.parts[-1] in ("testing.rs", "fixtures.rs")


def code_of(text):
    """The product code of a file without comments, strings and tests."""
    text = re.split(r"^#\[cfg\(test\)\]\nmod \w+ \{", text, maxsplit=1, flags=re.M)[0]
    token = r'//[^\n]*|r(#*)"[\s\S]*?"\1|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\''
    return re.sub(token, lambda match: "" if match[0].startswith("//") else '""', text)


def expand(tree):
    """Paths of a use tree: `a::{b, c::d}` is a::b and a::c::d."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        return [re.sub(r"\s+as\s+\w+$", "", tree)]
    paths, depth, start = [], 0, brace + 1
    inner = tree[brace + 1 : tree.rfind("}")] + ","
    start = 0
    for index, character in enumerate(inner):
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            if inner[start:index].strip():
                paths += expand(inner[start:index])
            start = index + 1
    return [tree[:brace] + path for path in paths]


class Modules:
    """The module tree of one crate, and which file imports which."""

    def __init__(self, files):
        self.code = {}
        self.exports = collections.defaultdict(dict)
        for path, text in files.items():
            parts = list(path.with_suffix("").parts)
            module = tuple(parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts)
            self.code[module] = code_of(text)
        self.uses = {}
        for module, code in self.code.items():
            used = []
            for public, tree in re.findall(r"(pub(?:\([\w: ]+\))?\s+)?\buse\s+([^;]+);", code):
                for path in expand(tree):
                    names = [name.strip() for name in path.split("::")]
                    used.append(names)
                    if public and names[-1] != "*":
                        self.exports[module][names[-1]] = names
            used += [path.split("::") for path in re.findall(r"\b(?:crate|super)(?:::\w+)+", re.sub(r"\buse\s+[^;]+;", "", code))]
            self.uses[module] = used

    def file_of(self, module, names, depth=0):
        """The file that defines what a path in a module names, through re-exports; None where it is not ours."""
        if names[0] == "crate":
            here, names = (), names[1:]
        elif names[0] == "super":
            here = module
            while names and names[0] == "super":
                here, names = here[:-1], names[1:]
        elif names[0] == "self":
            here, names = module, names[1:]
        elif module + (names[0],) in self.code:
            here = module
        else:
            return None
        while names and here + (names[0],) in self.code:
            here, names = here + (names[0],), names[1:]
        if names and names[0] in self.exports[here] and depth < 8:
            return self.file_of(here, self.exports[here][names[0]], depth + 1) or here
        return here

    def circles(self):
        """Groups of files that import each other; a parent and its own child may."""
        edges = collections.defaultdict(set)
        for module, used in self.uses.items():
            for names in used:
                target = self.file_of(module, names)
                if target is None or target not in self.code:
                    continue
                related = target[: len(module)] == module or module[: len(target)] == target
                if not related:
                    edges[module].add(target)
        index, low, stack, groups = {}, {}, [], []

        def visit(node):
            index[node] = low[node] = len(index)
            stack.append(node)
            for target in sorted(edges[node]):
                if target not in index:
                    visit(target)
                    low[node] = min(low[node], low[target])
                elif target in stack:
                    low[node] = min(low[node], index[target])
            if low[node] == index[node]:
                group = []
                while not group or group[-1] != node:
                    group.append(stack.pop())
                if len(group) > 1:
                    groups.append(sorted("/".join(module) for module in group))

        sys.setrecursionlimit(10_000)
        for node in sorted(self.code):
            if node not in index:
                visit(node)
        return groups


def riddles(code):
    """Names of types and modules whose last word is a participle or an adverb."""
    found = []
    for kind, name in re.findall(r"^\s*(?:pub(?:\([\w: ]+\))? )?(struct|enum|trait|type|mod) (\w+)", code, re.M):
        last = name.split("_")[-1] if kind == "mod" else re.findall(r"[A-Z][a-z0-9]*|\w+", name)[-1].lower()
        if last not in NOUNS and (last in IRREGULAR or re.search(r"[a-z]{2}ed$", last)):
            found.append(name)
    return found


def cpu(folder, *command):
    """CPU seconds of a cargo command in a folder without a target."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as target:
        environment = {**os.environ, "CARGO_TARGET_DIR": target}
        subprocess.run(["cargo", *command], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(folder, options):
    names = subprocess.run(["git", "ls-files", "*.rs"], cwd=folder, capture_output=True, text=True, check=True).stdout
    paths = [pathlib.Path(name) for name in names.split("\n") if name and (folder / name).exists()]
    texts = {path: (folder / path).read_text() for path in paths}
    product = {path: text for path, text in texts.items() if path.parts[0] in ("src", "crates") and not is_test(path)}
    lines = {path: product_lines(text) for path, text in product.items()}
    print(f"product lines in src             {sum(n for path, n in lines.items() if path.parts[0] == 'src'):7,}")
    print(f"product lines in src and crates  {sum(lines.values()):7,}")
    print(f"all lines of Rust                {sum(text.count(chr(10)) for text in texts.values()):7,}")
    crates = collections.defaultdict(dict)
    for path, text in product.items():
        depth = path.parts.index("src") + 1
        crates[path.parts[:depth]][pathlib.Path(*path.parts[depth:])] = text
    circles = [group for files in crates.values() for group in Modules(files).circles()]
    print(f"circles of files                 {len(circles):7,}")
    odd = sorted(name for text in product.values() for name in riddles(code_of(text)))
    print(f"participles as names             {len(odd):7,}")
    if options.places:
        for group in circles:
            print("circle:", ", ".join(group))
        print("names:", ", ".join(odd))
    if options.cpu:
        print(f"CPU seconds, clean cargo build   {cpu(folder, 'build', '--locked'):7,.0f}")
        print(f"CPU seconds, clean cargo test    {cpu(folder, 'test', '--locked'):7,.0f}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rev", help="another revision, checked out below a temporary folder")
    options.add_argument("--places", action="store_true", help="name the circles and the names")
    options.add_argument("--cpu", action="store_true", help="build and test from clean")
    options = options.parse_args()
    if not options.rev:
        return measure(ROOT, options)
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(["git", "clone", "--quiet", ROOT, scratch], check=True)
        subprocess.run(["git", "checkout", "--quiet", options.rev], cwd=scratch, check=True)
        measure(pathlib.Path(scratch), options)


if __name__ == "__main__":
    main()
