"""The pair encoder: the first layers of all-MiniLM-L6-v2 reading two texts at once.

Input  [CLS] a [SEP] b [SEP], token types 0 and 1, each text cut to 64 word pieces.
Output one logit: "the answer to one is right for the other".

The embeddings and their LayerNorm are the base model's and are never changed, so
the artifact need not carry them. Sequences of one batch have one length, so no
padding and no attention mask is needed anywhere.
"""

import hashlib
import json
import os

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn

HIDDEN = 384
HEADS = 12
TOKENS_PER_TEXT = 64
CLS, SEP = 101, 102

# The names of one layer's linear maps, as BERT calls them.
LINEARS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")


class Layer(nn.Module):
    """One BERT layer; query, key and value are one matrix, which is faster."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(HIDDEN, 3 * HIDDEN)
        self.out = nn.Linear(HIDDEN, HIDDEN)
        self.norm1 = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.up = nn.Linear(HIDDEN, 4 * HIDDEN)
        self.down = nn.Linear(4 * HIDDEN, HIDDEN)
        self.norm2 = nn.LayerNorm(HIDDEN, eps=1e-12)

    def forward(self, x):
        rows, tokens, _ = x.shape
        q, k, v = self.qkv(x).view(rows, tokens, 3, HEADS, 32).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        mixed = mixed.transpose(1, 2).reshape(rows, tokens, HIDDEN)
        x = self.norm1(x + self.out(mixed))
        return self.norm2(x + self.down(F.gelu(self.up(x))))

    def load(self, tensors, prefix):
        """Copies the layer called `prefix` out of a dictionary of BERT tensors."""
        get = lambda name, part: tensors[f"{prefix}.{name}.{part}"]
        with torch.no_grad():
            for part, to in (("weight", self.qkv.weight), ("bias", self.qkv.bias)):
                to.copy_(torch.cat([get(name, part) for name in LINEARS[:3]]))
            pairs = zip(LINEARS[3:] + NORMS, (self.out, self.up, self.down, self.norm1, self.norm2))
            for name, module in pairs:
                module.weight.copy_(get(name, "weight"))
                module.bias.copy_(get(name, "bias"))

    def dump(self, prefix):
        """The same tensors under their BERT names, fp32."""
        out = {}
        for i, name in enumerate(LINEARS[:3]):
            rows = slice(i * HIDDEN, (i + 1) * HIDDEN)
            out[f"{prefix}.{name}.weight"] = self.qkv.weight[rows]
            out[f"{prefix}.{name}.bias"] = self.qkv.bias[rows]
        pairs = zip(LINEARS[3:] + NORMS, (self.out, self.up, self.down, self.norm1, self.norm2))
        for name, module in pairs:
            out[f"{prefix}.{name}.weight"] = module.weight
            out[f"{prefix}.{name}.bias"] = module.bias
        return {key: value.detach().float().clone().contiguous() for key, value in out.items()}


class Embeddings(nn.Module):
    """The base model's frozen input layer."""

    def __init__(self, tensors):
        super().__init__()
        keep = lambda name: nn.Parameter(
            tensors[f"embeddings.{name}.weight"].float(), requires_grad=False
        )
        self.word = keep("word_embeddings")
        self.position = keep("position_embeddings")
        self.kind = keep("token_type_embeddings")
        self.gain = keep("LayerNorm")
        self.shift = nn.Parameter(tensors["embeddings.LayerNorm.bias"].float(), requires_grad=False)

    def forward(self, ids, kinds):
        x = self.word[ids] + self.kind[kinds] + self.position[: ids.shape[1]]
        return F.layer_norm(x, (HIDDEN,), self.gain, self.shift, 1e-12)


class PairEncoder(nn.Module):
    def __init__(self, base, layers=4):
        super().__init__()
        self.embeddings = Embeddings(base)
        self.layers = nn.ModuleList(Layer() for _ in range(layers))
        for i, layer in enumerate(self.layers):
            layer.load(base, f"encoder.layer.{i}")
        self.classifier = nn.Linear(HIDDEN, 1)
        nn.init.normal_(self.classifier.weight, std=0.02)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, ids, kinds):
        x = self.embeddings(ids, kinds)
        for layer in self.layers:
            x = layer(x)
        return self.classifier(x[:, 0]).squeeze(1)

    def named_tensors(self):
        """Every trained tensor, fp32, under its BERT name."""
        out = {}
        for i, layer in enumerate(self.layers):
            out.update(layer.dump(f"encoder.layer.{i}"))
        out["classifier.weight"] = self.classifier.weight.detach().float().clone()
        out["classifier.bias"] = self.classifier.bias.detach().float().clone()
        return out

    def load_named(self, tensors):
        for i, layer in enumerate(self.layers):
            layer.load(tensors, f"encoder.layer.{i}")
        with torch.no_grad():
            self.classifier.weight.copy_(tensors["classifier.weight"])
            self.classifier.bias.copy_(tensors["classifier.bias"])


class TextEmbedder(nn.Module):
    """The whole base model with mean pooling: the cosine the cache searches by."""

    def __init__(self, base):
        super().__init__()
        self.embeddings = Embeddings(base)
        self.layers = nn.ModuleList(Layer() for _ in range(6))
        for i, layer in enumerate(self.layers):
            layer.load(base, f"encoder.layer.{i}")

    def forward(self, ids):
        x = self.embeddings(ids, torch.zeros_like(ids))
        for layer in self.layers:
            x = layer(x)
        return F.normalize(x.float().mean(1), dim=1)


def load_base(folder):
    """The base model's tensors and the sha256 of its weights file."""
    path = os.path.join(folder, "model.safetensors")
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, digest


class Pieces:
    """Word pieces of texts without [CLS] and [SEP], cut and remembered."""

    def __init__(self, folder):
        self.tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.known = {}

    def learn(self, texts, limit=TOKENS_PER_TEXT):
        new = [t for t in dict.fromkeys(texts) if t not in self.known]
        for i in range(0, len(new), 4096):
            part = new[i : i + 4096]
            for text, enc in zip(part, self.tokenizer.encode_batch(part, add_special_tokens=False)):
                self.known[text] = np.asarray(enc.ids[:limit], dtype=np.int32)

    def pair(self, a, b):
        left, right = self.known[a], self.known[b]
        ids = np.concatenate(([CLS], left, [SEP], right, [SEP]))
        return ids, len(left) + 2

    def pair_batch(self, pairs):
        """ids and token types of pairs that all have one length."""
        built = [self.pair(a, b) for a, b in pairs]
        ids = torch.from_numpy(np.stack([ids for ids, _ in built]))
        first = torch.tensor([first for _, first in built])
        kinds = (torch.arange(ids.shape[1])[None, :] >= first[:, None]).long()
        return ids.long(), kinds


def quantise(weight):
    """Symmetric int8 per output row: what the C++ kernels multiply with."""
    scale = weight.abs().amax(1) / 127.0
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return torch.round(weight / scale[:, None]).clamp(-127, 127).to(torch.int8), scale


def is_int8(name):
    return name.endswith(".weight") and "LayerNorm" not in name and name.startswith("encoder.")


def dequantised(tensors):
    """The fp32 tensors after one trip through int8."""
    out = {}
    for name, tensor in tensors.items():
        if is_int8(name):
            q, scale = quantise(tensor)
            tensor = q.float() * scale[:, None]
        out[name] = tensor
    return out


def export(tensors, path, name, base_sha256, layers):
    """Writes the artifact under a temporary name, then renames it."""
    out = {}
    for key, tensor in tensors.items():
        if is_int8(key):
            out[key], out[key + "_scale"] = quantise(tensor)
        else:
            out[key] = tensor.float().contiguous()
    metadata = {
        "format": "enhanced-gptcache-pair-encoder",
        "version": "1",
        "layers": str(layers),
        "tokens_per_text": str(TOKENS_PER_TEXT),
        "base_model_sha256": base_sha256,
        "name": name,
    }
    os.makedirs(os.path.dirname(path), exist_ok=True)
    save_file(out, path + ".tmp", metadata=metadata)
    os.chmod(path + ".tmp", 0o644)
    os.replace(path + ".tmp", path)


@torch.no_grad()
def score_pairs(model, pieces, pairs, bf16=True, rows=64):
    """Logits of (a, b) pairs, in their order."""
    pieces.learn([t for pair in pairs for t in pair])
    length = lambda p: len(pieces.known[p[0]]) + len(pieces.known[p[1]])
    order = sorted(range(len(pairs)), key=lambda i: length(pairs[i]))
    out = np.zeros(len(pairs), dtype=np.float32)
    model.eval()
    start = 0
    while start < len(order):
        size = length(pairs[order[start]])
        stop = start
        while stop < len(order) and stop - start < rows and length(pairs[order[stop]]) == size:
            stop += 1
        ids, kinds = pieces.pair_batch([pairs[i] for i in order[start:stop]])
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(ids, kinds)
        out[order[start:stop]] = logits.float().numpy()
        start = stop
    return out


@torch.no_grad()
def embed_texts(model, pieces, texts, bf16=False, rows=64):
    """Unit vectors of texts, by length so that nothing is padded."""
    pieces.learn(texts)
    order = sorted(range(len(texts)), key=lambda i: len(pieces.known[texts[i]]))
    out = np.zeros((len(texts), HIDDEN), dtype=np.float32)
    start = 0
    while start < len(order):
        size = len(pieces.known[texts[order[start]]])
        stop = start
        while (
            stop < len(order) and stop - start < rows and len(pieces.known[texts[order[stop]]]) == size
        ):
            stop += 1
        ids = np.stack(
            [np.concatenate(([CLS], pieces.known[texts[i]], [SEP])) for i in order[start:stop]]
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out[order[start:stop]] = model(torch.from_numpy(ids).long()).numpy()
        start = stop
    return out


def write_golden(model, pieces, tensors, pairs, path):
    """Logits of the int8 weights in fp32 arithmetic: what C++ must come close to."""
    model.load_named(dequantised(tensors))
    logits = score_pairs(model, pieces, pairs, bf16=False)
    model.load_named(tensors)
    rows = [{"a": a, "b": b, "logit": round(float(x), 6)} for (a, b), x in zip(pairs, logits)]
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1, ensure_ascii=False)
    os.replace(path + ".tmp", path)
    return logits
