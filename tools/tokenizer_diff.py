#!/usr/bin/env python3
"""Compares our tokenizer with the Hugging Face `tokenizers` library, text by text.

    tools/tokenizer_diff.py --dump BUILD/tokenizer_dump --model models/all-MiniLM-L6-v2 \\
        [--data FOLDER] [--random 100000] [--seed 1] [--golden FOLDER]

Texts: every string in FOLDER/*.jsonl.gz (and the keys of objects), every code point once as "a<c>b",
`--random` generated strings over all planes, and texts with special tokens in them. Compared are the
ids, and the normalised words (so that a difference cannot hide behind [UNK]) under all sixteen
combinations of the normaliser's options. A folder with vocab.txt and no tokenizer.json is compared too.
Prints a line a set: texts, differences; exits 1 when there is any.

--golden writes tokenizer.jsonl (500 generated texts and their ids) and tokenizer_vocab.txt to FOLDER, for
the unit tests, and compares nothing.
Needs: pip install tokenizers.
"""

import argparse
import glob
import gzip
import itertools
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

# Where generated characters come from: (first, last, weight).
BLOCKS = [
    (0x20, 0x7E, 30),
    (0x00, 0x1F, 2),
    (0x7F, 0xA0, 2),
    (0xA1, 0x24F, 12),
    (0x300, 0x36F, 10),
    (0x370, 0x52F, 8),
    (0x530, 0x7FF, 6),
    (0x800, 0xDFF, 8),
    (0xE00, 0x10FF, 5),
    (0x1100, 0x11FF, 4),
    (0x1200, 0x1DBF, 4),
    (0x1DC0, 0x1FFF, 8),
    (0x2000, 0x20CF, 8),
    (0x20D0, 0x20FF, 3),
    (0x2100, 0x2BFF, 5),
    (0x2C00, 0x2FFF, 4),
    (0x3000, 0x30FF, 8),
    (0x3100, 0x4DFF, 4),
    (0x4E00, 0x9FFF, 12),
    (0xA000, 0xABFF, 5),
    (0xAC00, 0xD7FF, 10),
    (0xE000, 0xF8FF, 2),
    (0xF900, 0xFAFF, 4),
    (0xFB00, 0xFFFF, 6),
    (0x10000, 0x107FF, 3),
    (0x10800, 0x11FFF, 8),
    (0x12000, 0x1CFFF, 3),
    (0x1D000, 0x1D7FF, 4),
    (0x1D800, 0x1EFFF, 4),
    (0x1F000, 0x1FAFF, 10),
    (0x1FB00, 0x1FFFF, 1),
    (0x20000, 0x3FFFF, 4),
    (0x40000, 0xDFFFF, 1),
    (0xE0000, 0xE01FF, 2),
    (0xE0200, 0x10FFFF, 1),
]
SPECIALS = [
    "[CLS]",
    "[SEP]",
    "[PAD]",
    "[UNK]",
    "[MASK]",
    "[cls]",
    "[CLS",
    "CLS]",
    "[[SEP]]",
    " [MASK] ",
    "[unused1]",
]
OFTEN = " '\"-_.,?!\u0301\u0308\u00e9\u0130\u03a3\u00df\u200d\ufe0f\u00a0\u3000\u2019\u2028\ufffd\x00#"
WORDS = (
    "how do i reset my password the caching of embeddings unbelievable "
    "tokenization antidisestablishmentarianism "
    "caf\u00e9 na\u00efve stra\u00dfe \u0130stanbul \u039f\u0394\u039f\u03a3 "
    "\u041f\u0440\u0438\u0432\u0435\u0442 "
    "\u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 "
    "\u0928\u092e\u0938\u094d\u0924\u0947 "
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd 3.14 10,000 e-mail "
    "http://a.b/c?d=1&e=2 "
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7 a+b=c $5 ##ing C++ don't x\u0323\u0307"
).split()


def random_char(source):
    if source.random() < 0.12:
        return source.choice(OFTEN)
    while True:
        first, last, _ = source.choices(BLOCKS, [block[2] for block in BLOCKS])[0]
        code = source.randint(first, last)
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def random_text(source):
    """One text of a kind drawn by chance: mixed, one block, marks in disorder, long words, words."""
    kind = source.random()
    length = source.choice([1, 2, 3, 5, 8, 13, 30, 80])
    if kind < 0.35:
        return "".join(random_char(source) for _ in range(length))
    if kind < 0.55:
        first, last, _ = source.choice(BLOCKS)
        codes = (source.randint(first, last) for _ in range(length))
        return "".join(
            chr(code) + (" " if source.random() < 0.1 else "")
            for code in codes
            if not 0xD800 <= code < 0xE000
        )
    if kind < 0.65:
        marks = [c for c in range(0x300, 0x36F)] + [
            0x5B0,
            0x5C1,
            0x64B,
            0x94D,
            0x302E,
            0x3099,
            0x1D165,
            0x1D16D,
            0x1E8D0,
        ]
        return "".join(
            source.choice("aeo\u0915\u304b\u05e9x")
            + "".join(chr(source.choice(marks)) for _ in range(source.randint(0, 6)))
            for _ in range(length)
        )
    if kind < 0.72:  # around the limit of 100 characters a word
        unit = source.choice(
            ["a", "ab", "\u00e9", "\u65e5", "\uac01", "e\u0301", "\U0001f600", "z" * 9 + "-"]
        )
        return (unit * 120)[: source.choice([98, 99, 100, 101, 102, 150, 300])] + source.choice(
            ["", " end", "."]
        )
    words = [
        source.choice(WORDS) if source.random() < 0.9 else source.choice(SPECIALS) for _ in range(length)
    ]
    if source.random() < 0.3:
        words = [word.upper() for word in words]
    if source.random() < 0.2:
        words[0] = source.choice(SPECIALS) + words[0]
    return source.choice([" ", "  ", "\t", "\n", "", "\u3000"]).join(words)


def strings_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item)
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from strings_of(item)


def data_texts(folder):
    texts = []
    for path in sorted(glob.glob(os.path.join(folder, "*.jsonl.gz"))):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                texts.extend(strings_of(json.loads(line)))
    return list(dict.fromkeys(texts))


def code_point_texts():
    return ["a%cb" % code for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def ours(dump, mode, model, texts):
    """Per text the raw block tokenizer_dump prints."""
    data = [text.encode("utf-8") for text in texts]
    with tempfile.TemporaryFile() as stdin:
        for item in data:
            stdin.write(struct.pack("<I", len(item)) + item)
        stdin.seek(0)
        out = subprocess.run([dump, mode, model], stdin=stdin, stdout=subprocess.PIPE, check=True).stdout
    blocks, at, width = [], 0, 4 if mode == "ids" else 1
    for _ in texts:
        count = struct.unpack_from("<I", out, at)[0] * width
        blocks.append(out[at + 4 : at + 4 + count])
        at += 4 + count
    if at != len(out):
        sys.exit("tokenizer_dump printed more than it was asked for")
    return blocks


def load_reference(model):
    reference = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    reference.no_truncation()
    reference.no_padding()
    return reference


def reference_ids(tokenizer, texts):
    for start in range(0, len(texts), 4096):
        for encoding in tokenizer.encode_batch(texts[start : start + 4096], add_special_tokens=False):
            yield struct.pack("<%dI" % len(encoding.ids), *encoding.ids)


def reference_words(tokenizer, texts):
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        yield b"".join(
            word.encode("utf-8") + b"\0" for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)
        )


class Comparison:
    def __init__(self, dump):
        self.dump, self.texts, self.failed = dump, 0, 0

    def run(self, name, mode, model, tokenizer, texts):
        expected = (reference_ids if mode == "ids" else reference_words)(tokenizer, texts)
        wrong = [
            (text, want, got)
            for text, want, got in zip(texts, expected, ours(self.dump, mode, model, texts))
            if want != got
        ]
        print(
            "%-46s %8d texts, %d differences" % (name + " (" + mode + ")", len(texts), len(wrong)), flush=True
        )
        for text, want, got in wrong[:5]:
            print("   %s\n     expected %r\n     got      %r" % (ascii(text)[:300], want[:160], got[:160]))
        self.texts += len(texts)
        self.failed += len(wrong)


def compare_options(comparison, model, texts):
    """The sixteen normalisers, through copies of the model's tokenizer.json."""
    with open(os.path.join(model, "tokenizer.json"), encoding="utf-8") as file:
        saved = json.load(file)
    names = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    for values in itertools.product((False, True), repeat=4):
        options = dict(zip(names, values))
        saved["normalizer"] = dict(options, type="BertNormalizer")
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
                json.dump(saved, file)
            name = "options " + "".join(str(int(value)) for value in values)
            comparison.run(name, "words", folder, load_reference(folder), texts)


def compare_vocab_only(comparison, model, texts):
    """vocab.txt without tokenizer.json, cased."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(model, "vocab.txt"), folder)
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
            json.dump({"do_lower_case": False}, file)
        reference = bert_tokenizer(os.path.join(folder, "vocab.txt"), lowercase=False)
        comparison.run("vocab.txt alone, cased", "ids", folder, reference, texts)


def compare_added(comparison, model, texts):
    """Added tokens that strip white space, and ones looked for in normalised text."""
    with tempfile.TemporaryDirectory() as folder:
        reference = load_reference(model)
        reference.add_special_tokens(
            [
                AddedToken("<left>", lstrip=True),
                AddedToken("<right>", rstrip=True),
                AddedToken("<both>", lstrip=True, rstrip=True),
            ]
        )
        reference.add_tokens(
            [AddedToken("Caf\u00e9 X"), AddedToken("the"), AddedToken("<b>", normalized=False)]
        )
        reference.save(os.path.join(folder, "tokenizer.json"))
        source = random.Random(7)
        tokens = [
            "<left>",
            "<right>",
            "<both>",
            "Caf\u00e9 X",
            "CAFE X",
            "cafe\u0301 x",
            "<b>",
            "the",
            "other",
        ]
        mixed = [
            "".join(source.choice(tokens + ["  ", "\u3000", "\n", "a", ""]) for _ in range(12))
            for _ in range(20000)
        ]
        comparison.run("added tokens", "ids", folder, load_reference(folder), mixed + texts)


def bert_tokenizer(vocab_path, lowercase=True):
    tokenizer = Tokenizer(models.WordPiece.from_file(vocab_path, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"])
    return tokenizer


def write_golden(folder, model, seed):
    """tokenizer.jsonl, and tokenizer_vocab.txt: a vocabulary of every second character of the texts
    and some words, so that the unit tests need no model and little hides behind [UNK]."""
    source = random.Random(seed)
    texts = list(dict.fromkeys(["", " ", *WORDS, *SPECIALS, *(random_text(source) for _ in range(700))]))
    texts = [text for text in texts if len(text) <= 130][:500]
    reference = load_reference(model)
    words = [
        word.decode("utf-8") for block in reference_words(reference, texts) for word in block.split(b"\0")
    ]
    chars = sorted({char for word in words for char in word})
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += chars + ["##" + char for char in chars if ord(char) % 8 != 3]
    tokens += sorted({word[:end] for word in words[:400] for end in (3, len(word)) if 2 <= len(word) <= 20})
    tokens += sorted({"##" + word[3:] for word in words[:400] if 5 <= len(word) <= 20})
    vocab_path = os.path.join(folder, "tokenizer_vocab.txt")
    with open(vocab_path, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(token + "\n" for token in dict.fromkeys(tokens))
    small = bert_tokenizer(vocab_path)
    with open(os.path.join(folder, "tokenizer.jsonl"), "w", encoding="utf-8") as file:
        for text in texts:
            row = {
                "text": text,
                "ids": small.encode(text, add_special_tokens=False).ids,
                "minilm_ids": reference.encode(text, add_special_tokens=False).ids,
            }
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
    print("%d texts, %d vocabulary entries" % (len(texts), len(dict.fromkeys(tokens))))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dump", help="the built tokenizer_dump program")
    parser.add_argument("--model", required=True, help="a model folder with tokenizer.json and vocab.txt")
    parser.add_argument("--data", help="a folder of *.jsonl.gz files")
    parser.add_argument("--random", type=int, default=100000, help="generated texts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--golden", help="write the golden files into this folder instead")
    arguments = parser.parse_args()
    if arguments.golden:
        return write_golden(arguments.golden, arguments.model, arguments.seed)
    if not arguments.dump:
        parser.error("--dump is needed")
    comparison, reference = Comparison(arguments.dump), load_reference(arguments.model)
    source = random.Random(arguments.seed)
    generated = [random_text(source) for _ in range(arguments.random)]
    sets = {"generated": generated, "code points": code_point_texts()}
    if arguments.data:
        sets["data"] = data_texts(arguments.data)
    for name, texts in sets.items():
        comparison.run(name, "ids", arguments.model, reference, texts)
        comparison.run(name, "words", arguments.model, reference, texts)
    compare_options(comparison, arguments.model, generated[:20000])
    compare_vocab_only(comparison, arguments.model, generated[:20000])
    compare_added(comparison, arguments.model, generated[:20000])
    print("%d texts compared, %d differences" % (comparison.texts, comparison.failed))
    sys.exit(1 if comparison.failed else 0)


if __name__ == "__main__":
    main()
