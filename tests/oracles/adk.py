#!/usr/bin/env python3
"""What Google's Agent Development Kit says of recorded answers to evalsets of every generation: `tool_trajectory_avg_score` in its
three match types, and `response_match_score`.

    pip install google-adk rouge-score nltk
    python3 tests/oracles/adk.py            # writes tests/oracles/adk.json
    python3 tests/oracles/adk.py --check    # fails if the file is not what the kit says
    python3 tests/oracles/adk.py --of DIR FILE    # the same for the evalsets below a folder, written to FILE

The first line has the stems that NLTK gives to words, and the kit's scores of the pairs of texts in text_metrics.json, for the tests
`words_have_the_stems_that_nltk_gives_them` and `the_text_metrics_agree_with_the_python_packages`; each other line has an evalset, answers, and what the kit says of them. The Rust test `evalsets_are_judged_as_the_kit_judges_them` imports each evalset, judges the same answers, and compares turn by turn
(those of FILE with PROMPTGATE_ADK_EVALSETS=FILE). The evalsets are written for this file, in the shapes in which the kit and its
samples write theirs. Answers are generated from what an evalset expects; the generator is seeded.
"""

import copy
import json
import logging
import random
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

warnings.simplefilter("ignore")

from google.adk.evaluation.eval_case import IntermediateData, Invocation, get_all_tool_calls
from google.adk.evaluation.eval_config import get_eval_metrics_from_config, get_evaluation_criteria_or_default
from google.adk.evaluation.evaluator import EvalStatus
from google.adk.evaluation.final_response_match_v1 import RougeEvaluator
from google.adk.evaluation.local_eval_sets_manager import load_eval_set_from_file
from google.adk.evaluation.trajectory_evaluator import TrajectoryEvaluator
from google.genai.types import Content, FunctionCall, Part
from nltk.stem.porter import PorterStemmer

FILE = Path(__file__).with_suffix(".json")
PACKAGES = ["google-adk", "rouge-score", "nltk"]
EVALUATORS = {"tool_trajectory_avg_score": TrajectoryEvaluator, "response_match_score": RougeEvaluator}
TOLERANCE = 2e-9

# The kit writes every field of a part that it knows.
NULLS = ["video_metadata", "thought", "code_execution_result", "executable_code", "file_data", "function_call", "function_response",
         "inline_data"]


def written(text):
    return {"parts": [{**dict.fromkeys(NULLS), "text": text}], "role": "model"}


def said(text):
    return {"role": "model", "parts": [{"text": text}]}


def asked(text):
    return {"role": "user", "parts": [{"text": text}]}


def call(name, /, **args):
    return {"name": name, "args": args}


def turn(question, answer=None, calls=None, **more):
    invocation = {"invocation_id": "", "user_content": asked(question), **more}
    if answer is not None:
        invocation["final_response"] = said(answer)
    if calls is not None:
        invocation["intermediate_data"] = {"tool_uses": calls}
    return invocation


def evalset(name, *cases):
    return {"eval_set_id": name, "eval_cases": [{"eval_id": name, "conversation": turns} for name, turns in cases]}


def events(*calls):
    """Calls as events of the agent, in the newer form, with its words and a tool's reply between them."""
    parts = [[{"text": "One moment."}, *({"function_call": call} for call in calls)],
             [{"function_response": {"name": "any", "response": {"result": "done"}}}]]
    return {"invocation_events": [{"author": "agent", "content": {"parts": part}} for part in parts]}


# As the kit records a session: all fields, null where there is nothing. Without a configuration its defaults hold.
LAMPS = {
    "eval_set_id": "lamps", "name": "lamps", "description": None, "creation_timestamp": 1747340826.1,
    "eval_cases": [
        {
            "eval_id": "switch_off", "session_input": None, "creation_timestamp": 1747340826.2,
            "conversation": [
                {
                    "invocation_id": "4d1c", "creation_timestamp": 1747340826.3,
                    "user_content": {**written("Please switch the lamp in the kitchen off."), "role": "user"},
                    "final_response": written("The kitchen lamp is switched off now.\n"),
                    "intermediate_data": {
                        "tool_uses": [{"id": None, "name": "set_lamp", "args": {"room": "kitchen", "state": "OFF", "lamp": "lamp_2"}}],
                        "intermediate_responses": [],
                    },
                },
                {
                    "invocation_id": "5e2d", "creation_timestamp": 1747340827.4,
                    "user_content": {**written("Which lamps are burning?"), "role": "user"},
                    "final_response": written("Two lamps are burning: the one in the hall and the one in the garden."),
                    "intermediate_data": {
                        "tool_uses": [{"id": None, "name": "list_lamps", "args": {}}, {"id": "x", "name": "log", "args": {"level": 1}}],
                        "intermediate_responses": [],
                    },
                },
            ],
        },
        {
            "eval_id": "who", "session_input": {"app_name": "lamps", "user_id": "ann", "state": {}}, "creation_timestamp": 0.0,
            "conversation": [turn("Who are you?", "I am an assistant that switches lamps and reads thermometers.", [])],
        },
        {
            # What a session leaves that ended with a call.
            "eval_id": "cut_short",
            "conversation": [{**turn("Switch all lamps on.", "", [call("set_all", state="ON")]), "final_response": written(None)}],
        },
    ],
}

ROLLS = [call("roll", sides=6), call("roll", sides=20), call("check_prime", numbers=[7, 11])]

DICE = evalset(
    "dice",
    ("roll_and_check", [turn("Roll a die with 6 and one with 20 sides, which are primes?", "I rolled 7 and 11, and both are prime numbers.",
                             intermediate_data=events(*ROLLS))]),
    ("roll_twice", [turn("Roll twice.", "You rolled a 3 and a 5.", [call("roll", sides=6), call("roll", sides=6)])]),
    ("rules", [turn("What can you do?", "I can roll dice of different sizes and check whether numbers are primes.", [])]),
)

ORDERS = evalset(
    "orders",
    ("status", [turn("Where is order 7?", "Order 7 was shipped on Monday and should arrive tomorrow.",
                     [call("find_order", id=7, fields=["status", "eta"]), call("find_customer", name="Ann", active=True)])]),
    ("refund", [turn("Refund order 8.", "I have refunded order 8; the money arrives within five days.",
                     [call("find_order", id=8), call("refund", id=8, amount=17, reason={"value": "too small"}, notes=[])]),
                turn("And order 9?", "Order 9 can't be refunded, because it was returned too late.", [call("find_order", id=9)])]),
)

PAYROLL = evalset(
    "payroll",
    ("equal", [turn("Pay 250 each to Ann and Bob.", calls=[call("look_up", symbol="USDC")]),
               turn("confirm", calls=[call("pay_all", decimals=6, amounts=[250.0, 250], dry_run=False)])]),
    ("nothing", [turn("Pay a million to me.", calls=[])]),
    ("untouched", [turn("Hello")]),
    ("bare", [turn("Ping.", calls=[{"name": "ping"}, {"name": "pong", "args": {}}])]),
    ("nested", [turn("Split it.", calls=[call("split", by={"ann": 1, "bob": {"share": 0.5, "tags": ["a", None, True]}}, total=1e3)])]),
)

# Older generations: named sessions, and nothing but turns.
SESSIONS = [
    {
        "name": "browse",
        "data": [
            {"query": "Show me red boots.", "expected_tool_use": [{"tool_name": "search", "tool_input": {"words": "red boots", "page": 1}}],
             "expected_intermediate_agent_responses": [], "reference": "Here are three pairs of red boots that fit you."},
            {"query": "The first pair, please.", "expected_tool_use": [{"tool_name": "pick", "tool_input": {"item": 1}}],
             "expected_intermediate_agent_responses": [{"author": "shop", "text": "Looking"}], "reference": "I put the first pair into your cart."},
            {"query": "Thanks!", "expected_tool_use": [], "reference": "You are welcome, enjoy your boots!"},
        ],
        "initial_session": {"state": {"season": "winter"}, "app_name": "shop", "user_id": "user"},
    },
    {"name": "greeting", "data": [{"query": "hi", "expected_tool_use": [], "reference": "Hi there! How can I help you today?"}],
     "initial_session": {}},
]

TURNS = [
    {"query": "hi,", "expected_tool_use": [], "reference": "Hello, welcome back to the garden shop! What are you looking for?"},
    {"query": "What is in my cart?", "expected_tool_use": [{"tool_name": "read_cart", "tool_input": {"customer": "123"}}],
     "reference": "There are two bags of potting soil and a watering can in your cart."},
]

WORDS = evalset(
    "words",
    *(
        (f"words-{n}", [turn("Say it.", text)])
        for n, text in enumerate(
            [
                "The dying skies were lying; generalizations of hopefulness happily enjoyed national relations.",
                "Relational databases conditionally rationalize the operators' sensibilities and formalities.",
                "Proceedings succeeded: innings, outings, news, and flies tried spying on the plied trees.",
                "Shopping hopping tanned falling hissing fizzed failing filing, agreed and feed bled motoring.",
                "It costs $1,000.50 (or €20) at 10:30 – e.g. for C++ or v1.2.3, don't ask user@example.com!",
                "Der Käufer möchte die Straße und das Café heute öffnen, natürlich größer als vorher.",
                "Москва — столица России, а город стоит на реке.",
                "東京は日本の首都です。人口は約1400万人です。",
                "서울은 대한민국의 수도입니다.",
                "กรุงเทพเป็นเมืองหลวงของประเทศไทย",
                "दिल्ली भारत की राजधानी है और बहुत बड़ी है",
                "القاهرة عاصمة مصر وأكبر مدنها",
                "Ｆｕｌｌ width ﬁnds ① and ½ of x² in the İstanbul office 😀 👩‍👩‍👧 nai\u0308ve",
                "ប្រទេសកម្ពុជា ມ້າລາວ မြန်မာစာ",
                "a I am ok",
                "yyyyy syzygy toy boy sayings enjoyment flying eyeing oyez allied ally rationally apologies biologically",
            ]
        )
    ),
)

SETS = [
    ("lamps.test.json", LAMPS, None),
    ("dice.evalset.json", DICE, {"criteria": {"tool_trajectory_avg_score": {"threshold": 1, "matchType": "in-order"},
                                              "response_match_score": 0.5}}),
    ("orders.evalset.json", ORDERS, {"criteria": {"tool_trajectory_avg_score": {"threshold": 1.0, "match_type": "ANY_ORDER"},
                                                  "response_match_score": {"threshold": 0.6}}}),
    ("loose.evalset.json", ORDERS, {"criteria": {"tool_trajectory_avg_score": {"threshold": 0.5, "match_type": 1, "ignore_args": True}}}),
    ("strict.evalset.json", ORDERS, {"criteria": {"tool_trajectory_avg_score": {"threshold": 1.0, "match_type": "exact", "ignoreArgs": True}}}),
    ("payroll.evalset.json", PAYROLL, {"criteria": {"tool_trajectory_avg_score": 1.0}}),
    ("sessions.evalset.json", SESSIONS, {"criteria": {"tool_trajectory_avg_score": 0.2, "response_match_score": 0.2}}),
    ("garden.test.json", TURNS, {"criteria": {"tool_trajectory_avg_score": {"threshold": 1.0, "match_type": 2}, "response_match_score": 0.7}}),
    ("words.evalset.json", WORDS, {"criteria": {"response_match_score": 0.75}}),
]


# Words for the stemmer: beginnings with every ending that a step of the algorithm knows, and words that it treats by themselves.
BEGINNINGS = """t tr at hop fil rel fall hiss siz troubl plann y by syl enjo cr vi feud oper sens cond n electr depend contr prob ann
    us gener conflat biolog happ""".split()
ENDINGS = """s es ies sses ss ied eed ed ing ating bling izing lling y ly ally ational tional enci anci izer bli abli alli ationalli entli
    eli ousli ization ation ator alism iveness fulness ousness aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance
    ence er ic able ible ant ement ment ent sion tion ion ou ism ate iti ous ive ize e le ee ll oll yy y2 3""".split()
APART = """sky skies dying lying tying news innings inning outings outing cannings canning howe proceed exceed succeed die died dies
    tie ties tied lie lies a is be as it ox yes say says flies fly fling sing sting bring king being seeing eyeing oed ing ed eed ied
    ies yyyyy yy yay eye oyez agreed feed bleed proceeds skying an24 1000 50s 3rd mp3s""".split()


# --- answers

def reworded(rng, text):
    """A few words dropped, doubled or moved."""
    words = text.split(" ")
    for _ in range(rng.randint(1, max(1, len(words) // 3))):
        at = rng.randrange(len(words))
        match rng.randrange(3):
            case 0 if len(words) > 1:
                del words[at]
            case 1:
                words.insert(at, words[at])
            case _:
                words.insert(rng.randrange(len(words)), words.pop(at))
    return " ".join(words)


def inflected(rng, text):
    """Other endings: some have the stem of the word that stood there, some have not."""
    endings = ["s", "ing", "ed", "es", "ly", "er", "ation", "ness", "al", "y", "ies", "ful"]
    return " ".join(word.rstrip(".,!?\n") + rng.choice(endings) if rng.random() < 0.5 else word for word in text.split(" "))


def loud(text):
    return "** " + text.upper().replace(" ", " - ") + "!?"


def other_value(rng, value):
    """Nearly the same: an equal number in another form, or one that differs."""
    match value:
        case bool():
            return rng.choice([not value, int(value), str(value)])
        case int() | float():
            return rng.choice([float(value), value + 1, str(value), bool(value)])
        case str():
            return rng.choice([value.upper() + "x", value + " ", None])
        case list():
            return [other_value(rng, item) for item in value] or [0]
        case dict():
            return {key: other_value(rng, item) for key, item in value.items()} or {"more": 1}
    return 0


def changed(rng, calls):
    """One argument of one call."""
    calls = copy.deepcopy(calls)
    if not calls:
        return [call("unasked")]
    args = rng.choice(calls)["args"]
    if args:
        key = rng.choice(sorted(args))
        args[key] = other_value(rng, args[key])
    else:
        args["more"] = 1
    return calls


def with_one_more(rng, calls):
    calls = copy.deepcopy(calls)
    calls.insert(rng.randint(0, len(calls)), rng.choice([call("log", text="x"), *copy.deepcopy(calls)]))
    return calls


def without_one(rng, calls):
    calls = copy.deepcopy(calls)
    if calls:
        del calls[rng.randrange(len(calls))]
    return calls


# What becomes of the expected text and calls. An answer without text and calls is an empty one.
VARIANTS = [
    lambda rng, text, calls: (text, calls),
    lambda rng, text, calls: (reworded(rng, text), calls),
    lambda rng, text, calls: (inflected(rng, text), calls[::-1]),
    lambda rng, text, calls: (loud(text), calls),
    lambda rng, text, calls: (text, with_one_more(rng, calls)),
    lambda rng, text, calls: (text, without_one(rng, calls)),
    lambda rng, text, calls: (text, changed(rng, calls)),
    lambda rng, text, calls: (text, changed(rng, calls)),
    lambda rng, text, calls: (reworded(rng, inflected(rng, text)), with_one_more(rng, with_one_more(rng, calls))),
    lambda rng, text, calls: ("I can't help with that.", []),
    lambda rng, text, calls: ("", calls),
    lambda rng, text, calls: (rng.choice(["?!", "😀", " \n"]), changed(rng, calls)),
]


def answers(rng, invocation, variant):
    parts = (invocation.final_response and invocation.final_response.parts) or []
    text = "\n".join(part.text for part in parts if part.text)
    calls = [{"name": call.name, "args": copy.deepcopy(call.args or {})} for call in get_all_tool_calls(invocation.intermediate_data)]
    text, calls = variant(rng, text or "Very well.", calls)
    return {"text": text, "tool_calls": calls}


# --- the kit

def loaded(name, evalset):
    if isinstance(evalset, list) and "query" in evalset[0]:
        # The kit's own loader of the oldest form makes a session of it that is named after the file.
        evalset = [{"name": name.split(".")[0], "data": evalset, "initial_session": {}}]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(json.dumps(evalset), encoding="utf-8")
        return load_eval_set_from_file(str(path), "set")


def metrics(config):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test_config.json"
        if config is not None:
            path.write_text(json.dumps(config), encoding="utf-8")
        found = get_eval_metrics_from_config(get_evaluation_criteria_or_default(str(path)))
    # What is added for information only has no evaluator that decides.
    return [metric for metric in found if metric.metric_name in EVALUATORS]


def as_invocation(expected, answer):
    return Invocation(
        user_content=expected.user_content,
        final_response=Content(role="model", parts=[Part(text=answer["text"])]),
        intermediate_data=IntermediateData(tool_uses=[FunctionCall(**call) for call in answer["tool_calls"]]),
    )


def judged(case, metrics, given):
    """Of each metric the score and whether it passed, on the whole and for each turn."""
    actual = [as_invocation(expected, answer) for expected, answer in zip(case.conversation, given, strict=True)]
    result = {}
    for metric in metrics:
        found = EVALUATORS[metric.metric_name](eval_metric=metric).evaluate_invocations(actual, case.conversation)
        turns = [[round(one.score, 9), one.eval_status == EvalStatus.PASSED] for one in found.per_invocation_results]
        result[metric.metric_name] = [round(found.overall_score, 9), found.overall_eval_status == EvalStatus.PASSED, turns]
    return result


def measured(sets):
    for name, evalset, config in sets:
        rng = random.Random(name)
        cases, found = loaded(name, evalset).eval_cases, metrics(config)
        conversations = []
        for case in cases:
            given = [[answers(rng, invocation, variant) for invocation in case.conversation] for variant in VARIANTS]
            conversations.append({"eval_id": case.eval_id, "answers": given, "kit": [judged(case, found, turns) for turns in given]})
        yield {"file": name, "evalset": evalset, "config": config, "conversations": conversations}


def below(folder):
    """The evalsets of a folder, each with the configuration beside it; their criteria that need a model are left out."""
    for path in sorted(Path(folder).rglob("*.json")):
        evalset = json.loads(path.read_text(encoding="utf-8"))
        is_set = isinstance(evalset, dict) and "eval_cases" in evalset
        if not is_set and not (isinstance(evalset, list) and evalset and {"query", "data"} & set(evalset[0])):
            continue
        beside = path.with_name("test_config.json")
        config = json.loads(beside.read_text(encoding="utf-8")) if beside.exists() else None
        if config is not None:
            config = {"criteria": {name: value for name, value in config["criteria"].items() if name in EVALUATORS}}
        if is_set:
            evalset["eval_cases"] = [case for case in evalset["eval_cases"] if case.get("conversation")]
        yield path.name, evalset, config


def stems():
    stemmer = PorterStemmer()
    words = [beginning + ending for beginning in BEGINNINGS for ending in ENDINGS] + APART
    return [[word, stemmer.stem(word)] for word in words]


def pairs():
    """`response_match_score` of the pairs of text_metrics.json; of several references the nearest counts."""
    metric = metrics({"criteria": {"response_match_score": 0.5}})[0]
    scores = []
    for line in FILE.with_name("text_metrics.json").read_text(encoding="utf-8").splitlines()[1:]:
        answer, references, _ = json.loads(line)
        given = {"text": answer, "tool_calls": []}
        turns = [Invocation(user_content=Content(), final_response=Content(parts=[Part(text=text)])) for text in references]
        found = RougeEvaluator(metric).evaluate_invocations([as_invocation(turn, given) for turn in turns], turns)
        scores.append(round(max(one.score for one in found.per_invocation_results), 9))
    return scores


def text(lines):
    lines = [{"by": {name: version(name) for name in PACKAGES}, "stems": stems(), "pairs": pairs()}, *lines]
    return "".join(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n" for line in lines)


def differences(old, new, place=""):
    """Where two values differ, numbers by more than rounding."""
    if isinstance(old, float) and isinstance(new, float):
        return [] if abs(old - new) <= TOLERANCE else [f"{place}: {old} in the file, {new} by the kit"]
    if type(old) is not type(new) or not isinstance(old, (list, dict)):
        return [] if old == new and type(old) is type(new) else [f"{place}: {old!r} in the file, {new!r} by the kit"]
    if isinstance(old, dict):
        old, new = [[*value.items()] for value in (old, new)]
    if len(old) != len(new):
        return [f"{place}: {len(old)} in the file, {len(new)} by the kit"]
    return [found for n, (a, b) in enumerate(zip(old, new)) for found in differences(a, b, f"{place}/{n}")]


def check():
    had = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    has = [json.loads(line) for line in text(measured(SETS)).splitlines()]
    found = differences(had[1:], has[1:]) + differences(*({**line[0], "by": None} for line in (had, has)))
    if found:
        sys.exit("\n".join([*found[:20], f"{len(found)} differences"]))
    conversations = [conversation for line in has[1:] for conversation in line["conversations"]]
    runs = sum(len(conversation["kit"]) for conversation in conversations)
    print(f"{len(has) - 1} evalsets, {runs} conversations:", ", ".join(f"{name} {version(name)}" for name in PACKAGES), "agree")


def main():
    logging.disable(logging.WARNING)
    if sys.argv[1:] == ["--check"]:
        check()
    elif len(sys.argv) == 4 and sys.argv[1] == "--of":
        Path(sys.argv[3]).write_text(text(measured(below(sys.argv[2]))), encoding="utf-8")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        FILE.write_text(text(measured(SETS)), encoding="utf-8")


if __name__ == "__main__":
    main()
