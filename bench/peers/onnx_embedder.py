"""Sentence vectors by ONNX Runtime, with Hugging Face tokenizers: what a careful user would build."""

import numpy
import onnxruntime
import tokenizers


class OnnxEmbedder:
    """One core. `graph` is one of onnx_graph.py's files."""

    def __init__(self, model_dir, graph):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.tokenizer = tokenizers.Tokenizer.from_file(f"{model_dir}/tokenizer.json")
        self.tokenizer.enable_truncation(256)
        self.tokenizer.enable_padding()

    def tokens(self, text):
        """How many it has, without padding."""
        return len(self.tokenizer.encode(text).ids)

    def embed(self, texts):
        """Rows of unit length, one a text; a batch is padded to its longest."""
        encoded = self.tokenizer.encode_batch(texts)
        ids = numpy.array([one.ids for one in encoded], dtype=numpy.int32)
        mask = numpy.array([one.attention_mask for one in encoded], dtype=numpy.int32)
        states = self.session.run(
            None, {"input_ids": ids, "segment_ids": numpy.zeros_like(ids), "mask": mask}
        )[0]
        sums = (states * mask[:, :, None]).sum(axis=1)
        return sums / numpy.linalg.norm(sums, axis=1, keepdims=True)
