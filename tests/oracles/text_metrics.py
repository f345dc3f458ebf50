#!/usr/bin/env python3
"""Scores of 1,000 generated pairs of texts by the packages that the matchers `rouge`, `bleu`, `chrf` and `similarity` follow.

    pip install rouge-score sacrebleu rapidfuzz
    python3 tests/oracles/text_metrics.py            # writes tests/oracles/text_metrics.json
    python3 tests/oracles/text_metrics.py --check    # fails if the file is not what the packages say

The Rust test `the_text_metrics_agree_with_the_python_packages` compares promptgate with the file. Each of its lines after the
first is `[answer, references, scores]`, with the scores in the order of METRICS. Nothing is random: the generator is seeded.
"""

import json
import logging
import random
import sys
from importlib.metadata import version
from pathlib import Path

from rapidfuzz import fuzz, fuzz_py
from rapidfuzz.distance import JaroWinkler, Levenshtein
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import sentence_bleu, sentence_chrf

FILE = Path(__file__).with_suffix(".json")
PACKAGES = ["rouge-score", "sacrebleu", "rapidfuzz"]
METRICS = ["rouge1", "rouge2", "rougeL", "bleu", "chrf", "levenshtein", "jaro_winkler", "token_set"]
PAIRS = 1000
TOLERANCE = 2e-9

WORDS = """the a of to and in is it you that was for on are with as his they be at one have this from or had by hot word but what
some we can out other were all there when up use your how said an each she refund refunds policy order returned shoes worn boots
within days receipt shipping parcel tracking number Paris London France capital city answer please contact support customer
""".split()
MARKS = [".", ",", "!", "?", ":", ";", "...", "-", "--", "—", "'", '"', "(", ")", "[", "]", "/", "&", "%", "$", "*", "_", "#", "~"]
TRICKY = ["3.14", "1,000", "1,000.50", "don't", "It's", "e.g.", "U.S.", "1990-2000", "-5", "5-", "A.B.C", "x.5", "5.x", ".5", "5.",
          "a,b", "1,b", "&amp;", "&lt;b&gt;", "&quot;hi&quot;", "&amp;lt;", "<skipped>", "well-known", "50%", "$18.00", "€20", "C++",
          "a/b", "foo_bar", "{x}", "[1]", "http://example.com/a?b=c&d=e", "user@example.com", "10:30", "v1.2.3", "...", "?!", "``", "''"]
OTHER = ["Москва", "столица", "город", "ёлка", "東京", "首都", "都市", "こんにちは", "서울", "naïve", "café", "Cafe\u0301", "Straße",
         "İstanbul", "\u212aelvin", "ﬁn", "Ａ１", "½", "x²", "😀", "👩‍👩‍👧", "ΟΔΟΣ", "عربي", "हिन्दी", "ไทย", "«да»", "„ja“", "don’t", "…", "。", "、"]
SPACES = [" ", " ", " ", " ", " ", " ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u2009", "\u3000", "\u2028", "\u0085", "\x1c", "\x1f", "\u200b", "-\n"]
TINY = ["", " ", ".", "a", "A", "-", "\n", "é", "。", "1", "a b", "...", "<skipped>", "\u200b", "the"]


def sentence(rng, pool, length):
    words = [rng.choice(pool) for _ in range(length)]
    if words and rng.random() < 0.5:
        words[0] = words[0].capitalize()
    return words


def joined(rng, words, plain):
    text = ""
    for word in words:
        if text:
            text += " " if plain else rng.choice(SPACES)
        text += word
        if rng.random() < 0.12:
            text += rng.choice(MARKS)
    return text + (rng.choice([".", "!", "?", "", "\n"]) if words else "")


def reworded(rng, words, pool):
    """A few words dropped, replaced, doubled or moved."""
    words = list(words)
    for _ in range(rng.randint(0, max(1, len(words) // 2))):
        if not words:
            break
        at = rng.randrange(len(words))
        act = rng.randrange(4)
        if act == 0:
            del words[at]
        elif act == 1:
            words[at] = rng.choice(pool)
        elif act == 2:
            words.insert(at, words[at])
        else:
            words.insert(rng.randrange(len(words)), words.pop(at))
    return words


def mistyped(rng, text):
    """A few characters dropped, replaced, doubled or swapped."""
    chars = list(text)
    for _ in range(rng.randint(1, 6)):
        if len(chars) < 2:
            break
        at = rng.randrange(len(chars) - 1)
        act = rng.randrange(4)
        if act == 0:
            del chars[at]
        elif act == 1:
            chars[at] = rng.choice("abcxyzäé .")
        elif act == 2:
            chars.insert(at, chars[at])
        else:
            chars[at], chars[at + 1] = chars[at + 1], chars[at]
    return "".join(chars)


def pair(rng, n):
    """An answer and its references, of which none is blank."""
    kind = n % 10
    if n % 50 == 49:
        words = sentence(rng, WORDS + TRICKY, rng.randint(120, 250))
        return joined(rng, reworded(rng, words, WORDS), False), [joined(rng, words, True)]
    if kind == 0:
        return rng.choice(TINY), [rng.choice([text for text in TINY + WORDS if text.strip()])]
    if kind == 1:
        soup = [rng.choice(["ab", "abc", "aAbB", "01 "]) for _ in range(2)]
        answer, reference = ("".join(rng.choice(letters) for _ in range(rng.randint(1, 40))) for letters in soup)
        return answer, ["a" + reference]
    if kind == 2:
        words = sentence(rng, WORDS + TRICKY, rng.randint(1, 14))
        text = joined(rng, words, True)
        return mistyped(rng, text), [text]
    if kind == 3:
        words = sentence(rng, OTHER + WORDS[:20], rng.randint(1, 12))
        return joined(rng, reworded(rng, words, OTHER), False), [joined(rng, words, rng.random() < 0.5) + "x"]
    if kind == 4:
        words = sentence(rng, TRICKY + MARKS, rng.randint(1, 10))
        return joined(rng, reworded(rng, words, TRICKY), rng.random() < 0.5), ["a " + joined(rng, words, True)]
    if kind in (5, 6):
        words = sentence(rng, WORDS, rng.randint(3, 16))
        references = [joined(rng, reworded(rng, words, WORDS) + ["end"], True) for _ in range(rng.randint(2, 3))]
        return joined(rng, words, True), references
    pool = WORDS + TRICKY + MARKS[:6] + (OTHER if kind == 9 else [])
    words = sentence(rng, pool, rng.randint(2, 22))
    answer = reworded(rng, words, pool) if rng.random() < 0.9 else sentence(rng, pool, rng.randint(1, 12))
    return joined(rng, answer, kind == 7), ["To " + joined(rng, words, rng.random() < 0.7)]


def token_set_ratio(answer, reference):
    """rapidfuzz has it twice, compiled and in Python. They differ in one thing: in a text of Latin-1 alone the compiled one does
    not take U+0085 and U+00A0 for white space, although it does in every other text. Both are white space to Unicode."""
    compiled, python = fuzz.token_set_ratio(answer, reference), fuzz_py.token_set_ratio(answer, reference)
    assert abs(compiled - python) < TOLERANCE or any(c in answer + reference for c in "\u0085\u00a0"), (answer, reference)
    return python


def scores(answer, references):
    rouge = RougeScorer(METRICS[:3], use_stemmer=False).score_multi(references, answer)
    return [
        *(float(rouge[metric].fmeasure) for metric in METRICS[:3]),
        sentence_bleu(answer, references).score / 100,
        sentence_chrf(answer, references).score / 100,
        max(Levenshtein.normalized_similarity(answer, reference) for reference in references),
        max(JaroWinkler.similarity(answer, reference) for reference in references),
        max(token_set_ratio(answer, reference) / 100 for reference in references),
    ]


def rows():
    rng = random.Random(20240229)
    for n in range(PAIRS):
        answer, references = pair(rng, n)
        assert all(reference.strip() for reference in references), references
        yield [answer, references, [round(score, 9) for score in scores(answer, references)]]


def check():
    lines = FILE.read_text(encoding="utf-8").splitlines()[1:]
    written = [json.loads(line) for line in lines]
    assert len(written) == PAIRS, f"{len(written)} pairs in {FILE}"
    wrong = 0
    for n, (old, new) in enumerate(zip(written, rows()), 1):
        if old[:2] != new[:2]:
            sys.exit(f"pair {n} is not what the generator makes")
        for metric, had, has in zip(METRICS, old[2], new[2], strict=True):
            if abs(had - has) > TOLERANCE:
                wrong += 1
                print(f"pair {n}, {metric}: {had} in the file, {has} by the package", file=sys.stderr)
    if wrong:
        sys.exit(f"{wrong} scores differ")
    print(f"{PAIRS} pairs, {len(METRICS)} metrics each:", ", ".join(f"{name} {version(name)}" for name in PACKAGES), "agree")


def main():
    logging.disable(logging.WARNING)
    if sys.argv[1:] == ["--check"]:
        check()
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        head = {"metrics": METRICS, "by": {name: version(name) for name in PACKAGES}}
        lines = [head, *rows()]
        text = "".join(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n" for line in lines)
        FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
