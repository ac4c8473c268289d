"""An independent reference of both encoders in numpy, and the tiny made-up models of the tests.

Used by tools/embed_quality.py and tools/pair_quality.py. Needs numpy, safetensors and tokenizers.
"""

import json
import math
import pathlib

import numpy
from safetensors.numpy import load_file
from tokenizers import BertWordPieceTokenizer, Tokenizer

TINY_SHAPE = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 72,
              "max_position_embeddings": 40, "type_vocab_size": 2, "layer_norm_eps": 1e-12}
TINY_WINDOW = 32
TINY_PAIR_LAYERS = 3
TINY_PAIR_TOKENS = 16
TINY_VOCAB = (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [chr(c) for c in range(ord("a"), ord("z") + 1)]
              + ["##" + chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789.,?!"))


def erf(values):
    return numpy.vectorize(math.erf, otypes=[numpy.float64])(values)


def layer_norm(rows, gamma, beta, epsilon):
    centred = rows - rows.mean(-1, keepdims=True)
    return centred / numpy.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * gamma + beta


def activate(kind, rows):
    if kind == "gelu":
        return 0.5 * rows * (1 + erf(rows / math.sqrt(2)))
    return 0.5 * rows * (1 + numpy.tanh(math.sqrt(2 / math.pi) * (rows + 0.044715 * rows**3)))


def pool(kind, rows):
    if kind == "cls":
        return rows[0]
    if kind == "max":
        return rows.max(0)
    return rows.sum(0) / (len(rows) if kind == "mean" else math.sqrt(len(rows)))


class Reference:
    """One text at a time, in double."""

    def __init__(self, config, weights, pooling="mean"):
        self.config = config
        self.weights = {name: value.astype(numpy.float64) for name, value in weights.items()}
        self.pooling = pooling

    def linear(self, name, rows):
        return rows @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]

    def norm(self, name, rows):
        epsilon = self.config["layer_norm_eps"]
        return layer_norm(rows, self.weights[name + ".weight"], self.weights[name + ".bias"], epsilon)

    def attention(self, name, rows):
        heads = self.config["num_attention_heads"]
        split = [self.linear(f"{name}attention.self.{part}", rows)
                 .reshape(len(rows), heads, -1).swapaxes(0, 1)
                 for part in ("query", "key", "value")]
        scores = split[0] @ split[1].swapaxes(1, 2) / math.sqrt(split[0].shape[-1])
        scores = numpy.exp(scores - scores.max(-1, keepdims=True))
        mixed = scores / scores.sum(-1, keepdims=True) @ split[2]
        return self.linear(name + "attention.output.dense", mixed.swapaxes(0, 1).reshape(len(rows), -1))

    def embed_tokens(self, ids, types):
        rows = (self.weights["embeddings.word_embeddings.weight"][ids]
                + self.weights["embeddings.position_embeddings.weight"][:len(ids)]
                + self.weights["embeddings.token_type_embeddings.weight"][types])
        return self.norm("embeddings.LayerNorm", rows)

    def run_layers(self, rows):
        for index in range(self.config["num_hidden_layers"]):
            name = f"encoder.layer.{index}."
            rows = self.norm(name + "attention.output.LayerNorm", rows + self.attention(name, rows))
            wide = activate(self.config.get("hidden_act", "gelu"),
                            self.linear(name + "intermediate.dense", rows))
            rows = self.norm(name + "output.LayerNorm", rows + self.linear(name + "output.dense", wide))
        return rows

    def embed(self, ids):
        vector = pool(self.pooling, self.run_layers(self.embed_tokens(ids, [0] * len(ids))))
        return (vector / numpy.linalg.norm(vector)).astype(numpy.float32)


class PairReference(Reference):
    """A pair encoder over the embeddings of a Reference; `tensors` as in its file."""

    def __init__(self, base, tensors, layers):
        weights = {name: value.astype(numpy.float64) for name, value in tensors.items()}
        for name in [name for name in weights if name.endswith(".weight_scale")]:
            weights[name.removesuffix("_scale")] *= weights.pop(name)[:, None]
        super().__init__(dict(base.config, num_hidden_layers=layers), weights)
        self.base = base

    def logit(self, first, second):
        """`first` is [CLS] a [SEP], `second` is b [SEP]."""
        types = [0] * len(first) + [1] * len(second)
        rows = self.base.embed_tokens(first + second, types)
        row = self.run_layers(rows)[0]
        if "pooler.dense.weight" in self.weights:
            row = numpy.tanh(self.linear("pooler.dense", row))
        return float(self.linear("classifier", row)[0])


def open_model(folder):
    """(encode text to ids, Reference) of a sentence-transformers folder with mean pooling."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    window = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(window)
    return lambda text: tokenizer.encode(text).ids, Reference(config, load_file(folder / "model.safetensors"))


def tiny_tensors(layers):
    """Names, shapes, centre and spread of the tiny model's tensors, in the order their numbers are drawn."""
    hidden, wide = TINY_SHAPE["hidden_size"], TINY_SHAPE["intermediate_size"]

    def norm(name):
        return [(name + ".weight", (hidden,), 1.0, 0.25), (name + ".bias", (hidden,), 0.0, 0.25)]

    def linear(name, rows, columns):
        return [(name + ".weight", (rows, columns), 0.0, 0.25), (name + ".bias", (rows,), 0.0, 0.125)]

    yield "embeddings.word_embeddings.weight", (len(TINY_VOCAB), hidden), 0.0, 0.5
    yield "embeddings.position_embeddings.weight", (TINY_SHAPE["max_position_embeddings"], hidden), 0.0, 0.25
    yield "embeddings.token_type_embeddings.weight", (TINY_SHAPE["type_vocab_size"], hidden), 0.0, 0.25
    yield from norm("embeddings.LayerNorm")
    for index in range(layers):
        name = f"encoder.layer.{index}."
        for part in ("query", "key", "value"):
            yield from linear(f"{name}attention.self.{part}", hidden, hidden)
        yield from linear(name + "attention.output.dense", hidden, hidden)
        yield from norm(name + "attention.output.LayerNorm")
        yield from linear(name + "intermediate.dense", wide, hidden)
        yield from linear(name + "output.dense", hidden, wide)
        yield from norm(name + "output.LayerNorm")


def draw(tensors, state):
    """Random numbers of Knuth's MMIX generator for each tensor; without a spread, int8 in [-127, 127]."""
    weights = {}
    for name, shape, centre, spread in tensors:
        values = []
        for _ in range(math.prod(shape)):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            unit = (state >> 40) / 2**24
            number = math.floor(unit * 255) - 127 if spread is None else centre + (unit - 0.5) * 2 * spread
            values.append(number)
        weights[name] = numpy.array(values, numpy.int8 if spread is None else numpy.float32).reshape(shape)
    return weights


def tiny_pair_tensors():
    """The same as tiny_tensors for the tiny pair encoder; the pooler is left out of one without."""
    hidden = TINY_SHAPE["hidden_size"]
    for name, shape, centre, spread in tiny_tensors(TINY_PAIR_LAYERS):
        if not name.startswith("encoder."):
            continue
        yield name, shape, centre, spread if len(shape) == 1 else None
        if len(shape) == 2:
            yield name + "_scale", shape[:1], 0.002, 0.001
    yield "classifier.weight", (1, hidden), 0.0, 0.25
    yield "classifier.bias", (1,), 0.0, 0.125
    yield "pooler.dense.weight", (hidden, hidden), 0.0, 0.25
    yield "pooler.dense.bias", (hidden,), 0.0, 0.125


def open_tiny_pair(pooler):
    """(encode text to ids, PairReference) of the tiny pair encoder over the tiny model."""
    encode, base = open_tiny("mean", "gelu")
    tensors = draw(tiny_pair_tensors(), 2)
    if not pooler:
        tensors = {name: value for name, value in tensors.items() if "pooler" not in name}
    return encode, PairReference(base, tensors, TINY_PAIR_LAYERS)


def open_tiny(pooling, hidden_act):
    """The tiny model; tiny_model.h of the tests draws the same numbers."""
    weights = draw(tiny_tensors(TINY_SHAPE["num_hidden_layers"]), 1)
    vocabulary = {token: index for index, token in enumerate(TINY_VOCAB)}
    tokenizer = BertWordPieceTokenizer(vocabulary, lowercase=True)
    tokenizer.enable_truncation(TINY_WINDOW)
    reference = Reference(dict(TINY_SHAPE, hidden_act=hidden_act), weights, pooling)
    return lambda text: tokenizer.encode(text).ids, reference
