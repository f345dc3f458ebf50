#!/usr/bin/env python3
"""Tiny static embedding models, and what the package model2vec makes of some texts with them.

    pip install model2vec
    python3 tests/oracles/static_models.py            # writes tests/oracles/static_models/
    python3 tests/oracles/static_models.py --check    # fails if vectors.json is not what the package says

Each folder is a model of a few pieces: its tokenizer and its kind of numbers are what differs. `vectors.json` holds, for each
model, a list of `[text, vector]`; a text without any known piece has a vector of zeros. The Rust test
`the_vectors_are_those_of_the_python_package` compares promptgate with it. Nothing is random: the generator is seeded.
"""

import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from model2vec import StaticModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

FOLDER = Path(__file__).with_suffix("")
DIMENSIONS = 6
TOLERANCE = 1e-6

WORDS = """you can send it back within thirty days return returns are accepted for a month we never take anything shoe ##s ##ing
##ed the shop opens at nine in morning . , ! ? ' 30 café straße 東 京 москва""".split()
TEXTS = [
    "You can send it back within thirty days.",
    "Returns are accepted for a month!",
    "returns ARE accepted, for a MONTH",
    "We never take anything back.",
    "the shoes opening opened",
    "Cafe\u0301 café CAFÉ",
    "Straße strasse",
    "東京 москва",
    "shoe zebra shoe",
    "zebra",
    "",
    " \n\t",
    "a" * 300,
    "day days " * 600,
    "it's nine, in the morning?",
    "\u200b\ufeffyou\u00a0can",
    "[UNK] [PAD] you",
    "😀 you",
]


def wordpiece():
    vocabulary = {piece: i for i, piece in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    tokenizer.enable_truncation(16)
    return tokenizer


def unigram():
    pieces = ["[UNK]"] + ["▁" + word.lstrip("#") for word in WORDS] + list("abcdefghijklmnopqrstuvwxyz▁")
    pieces = list(dict.fromkeys(pieces))
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0 - len(piece) / 100) for piece in pieces], unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def table(rows, seed):
    return np.random.default_rng(seed).normal(size=(rows, DIMENSIONS)).astype(np.float32)


def made():
    pieces = wordpiece().get_vocab_size()
    rng = np.random.default_rng(4)
    yield "words", StaticModel(table(pieces, 1), wordpiece(), normalize=False)
    yield "halves", StaticModel(table(pieces, 2).astype(np.float16), wordpiece(), normalize=False)
    small = np.clip(np.round(table(pieces, 3) * 40), -127, 127).astype(np.int8)
    yield "bytes", StaticModel(small, wordpiece(), normalize=False)
    yield "shared", StaticModel(
        table(7, 5),
        wordpiece(),
        normalize=False,
        weights=rng.uniform(0.1, 2.0, pieces),
        token_mapping=rng.integers(0, 7, pieces),
    )
    yield "unigram", StaticModel(table(unigram().get_vocab_size(), 6), unigram(), normalize=False)


def vectors():
    found = {}
    for name in [folder.name for folder in sorted(FOLDER.iterdir()) if folder.is_dir()]:
        model = StaticModel.from_pretrained(FOLDER / name)
        # Halves are added up as such by the package; promptgate keeps what they are exactly.
        model.embedding = model.embedding if model.embedding.dtype == np.int8 else model.embedding.astype(np.float32)
        rows = model.encode(TEXTS, max_length=None, normalize=False, use_multiprocessing=False)
        found[name] = [[text, [float(number) for number in row]] for text, row in zip(TEXTS, rows)]
    return found


def write():
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, model in made():
        with tempfile.TemporaryDirectory() as saved:
            model.save_pretrained(saved)
            (FOLDER / name).mkdir(parents=True)
            for file in ["config.json", "model.safetensors", "tokenizer.json"]:
                shutil.copyfile(Path(saved) / file, FOLDER / name / file)
    (FOLDER / "vectors.json").write_text(json.dumps(vectors(), ensure_ascii=False, indent=None) + "\n", encoding="utf-8")


def check():
    stored = json.loads((FOLDER / "vectors.json").read_text(encoding="utf-8"))
    found = vectors()
    assert stored.keys() == found.keys(), "other models"
    for name, rows in found.items():
        for (text, row), (stored_text, stored_row) in zip(rows, stored[name], strict=True):
            assert text == stored_text, (name, text)
            assert np.allclose(row, stored_row, rtol=0, atol=TOLERANCE), (name, text)
    print(f"{sum(map(len, found.values()))} vectors of {len(found)} models agree")


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    check() if sys.argv[1:] == ["--check"] else write()
