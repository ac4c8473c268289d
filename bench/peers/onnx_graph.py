#!/usr/bin/env python3
"""Writes the sentence encoder as an ONNX graph of ONNX Runtime's fused operators, in fp32 and in int8.

usage: onnx_graph.py MODEL_DIR OUT_DIR

The graph is made from model.safetensors directly, out of the operators ONNX Runtime's own optimizer fuses a
BERT export into (EmbedLayerNormalization, Attention, SkipLayerNormalization, BiasGelu): as fast as that
export without needing PyTorch; int8 is quantize_dynamic, per channel, signed weights. Batches of one length a
row: the mask is a count of tokens.
"""

import json
import pathlib
import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

DOMAIN = "com.microsoft"


def read_safetensors(path):
    """Every tensor of a .safetensors file as float32 (format: 8 bytes of length, JSON header, bytes)."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        first, last = entry["data_offsets"]
        values = numpy.frombuffer(raw[8 + length + first : 8 + length + last], dtype=numpy.float32)
        tensors[name.removeprefix("bert.")] = values.reshape(entry["shape"])
    return tensors


class Graph:
    def __init__(self, tensors, config):
        self.tensors, self.config = tensors, config
        self.nodes, self.weights = [], []
        self.epsilon = config.get("layer_norm_eps", 1e-12)

    def weight(self, name, values):
        self.weights.append(numpy_helper.from_array(numpy.ascontiguousarray(values), name))
        return name

    def stored(self, name):
        return self.weight(name, self.tensors[name])

    def node(self, kind, inputs, outputs, domain=DOMAIN, **attributes):
        self.nodes.append(
            helper.make_node(kind, inputs, outputs, name=outputs[0], domain=domain, **attributes)
        )
        return outputs[0]

    def dense(self, source, name, out):
        return self.node("MatMul", [source, self.weight(name + ".t", self.tensors[name].T)], [out], domain="")

    def embed(self):
        names = [
            "word_embeddings.weight",
            "position_embeddings.weight",
            "token_type_embeddings.weight",
            "LayerNorm.weight",
            "LayerNorm.bias",
        ]
        stored = [self.stored("embeddings." + name) for name in names]
        self.node(
            "EmbedLayerNormalization",
            ["input_ids", "segment_ids", *stored, "mask"],
            ["embedded", "mask_index"],
            epsilon=self.epsilon,
        )
        return "embedded"

    def join(self, source, skip, prefix, bias, out):
        norm = [self.stored(prefix + ".LayerNorm." + part) for part in ("weight", "bias")]
        self.node(
            "SkipLayerNormalization", [source, skip, *norm, self.stored(bias)], [out], epsilon=self.epsilon
        )
        return out

    def layer(self, number, source):
        at = f"encoder.layer.{number}"
        parts = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
        weights = self.weight(
            at + ".qkv", numpy.concatenate([self.tensors[p + ".weight"].T for p in parts], 1)
        )
        bias = self.weight(at + ".qkv.bias", numpy.concatenate([self.tensors[p + ".bias"] for p in parts]))
        attended = self.node(
            "Attention",
            [source, weights, bias, "mask_index"],
            [at + ".attended"],
            num_heads=self.config["num_attention_heads"],
        )
        projected = self.dense(attended, at + ".attention.output.dense.weight", at + ".projected")
        middle = self.join(
            projected, source, at + ".attention.output", at + ".attention.output.dense.bias", at + ".middle"
        )
        wide = self.dense(middle, at + ".intermediate.dense.weight", at + ".wide")
        active = self.node("BiasGelu", [wide, self.stored(at + ".intermediate.dense.bias")], [at + ".active"])
        narrow = self.dense(active, at + ".output.dense.weight", at + ".narrow")
        return self.join(narrow, middle, at + ".output", at + ".output.dense.bias", at + ".out")

    def model(self):
        last = self.embed()
        for number in range(self.config["num_hidden_layers"]):
            last = self.layer(number, last)
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT32, ["batch", "length"])
            for name in ("input_ids", "segment_ids", "mask")
        ]
        outputs = [
            helper.make_tensor_value_info(
                last, TensorProto.FLOAT, ["batch", "length", self.config["hidden_size"]]
            )
        ]
        graph = helper.make_graph(self.nodes, "encoder", inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    config = json.loads((folder / "config.json").read_text())
    model = Graph(read_safetensors(folder / "model.safetensors"), config).model()
    onnx.save(model, out / "fp32.onnx")
    quantize_dynamic(
        out / "fp32.onnx",
        out / "int8.onnx",
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},
    )


if __name__ == "__main__":
    main()
