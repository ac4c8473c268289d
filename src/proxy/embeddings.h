#pragma once
// POST /v1/embeddings for the model this server runs itself, in OpenAI's form.

#include "proxy/call.h"

namespace enhanced_gptcache::proxy {

/// True when the body names the local model (with or without "sentence-transformers/") and there is one.
bool is_local_embedding(const Call& call);

/// Checks the body and answers; the forward passes run on the embedder's threads.
void serve_local_embedding(CallPtr call);

/// Standard base64 of the vector's little-endian floats, as encoding_format "base64" asks for.
std::string base64_of(const std::vector<float>& values);

}  // namespace enhanced_gptcache::proxy
