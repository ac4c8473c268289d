// Saved state and artifacts: the PCA model, learned thresholds, the verifier, master keys. Checksums are put
// right, so that the fields behind them are reached.

#include <cmath>

#include "enhanced_gptcache/tau_manager.h"
#include "input.h"
#include "match/pca_file.h"
#include "match/state_bytes.h"
#include "match/verifier.h"
#include "vault/key_ring.h"

using namespace enhanced_gptcache;

namespace {

/// The input as the content of a state file of this kind, of version 1 or 2; or as it is, every fourth time.
std::string state_file(std::string_view magic, size_t choice, std::string_view content) {
  if (choice == 0) return std::string(content);
  match::StateWriter writer(magic, choice == 1 ? 1 : 2);
  writer.put_raw(content.data(), content.size());
  return std::move(writer).finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input input(data, size);
  const size_t what = input.choice(4);
  const size_t choice = input.choice(4);
  if (what == 0) {
    if (const auto state = match::decode_pca(state_file("EGPTCPCA", choice, input.rest())))
      fuzz::must(state->moments.mean.allFinite(), "a model has numbers");
  } else if (what == 1) {
    TauManager tau;
    if (tau.restore(state_file("EGPTCTAU", choice, input.rest()))) {
      const double global = tau.global_tau();
      fuzz::must(std::isfinite(global) && global >= 0 && global <= 1, "a threshold is one");
    }
  } else if (what == 2) {
    if (const auto verifier = match::Verifier::parse(input.rest())) {
      const match::PairFeatures features{};
      fuzz::must(std::isfinite((*verifier)->plain().cheap.logit(features)), "a verifier decides");
      fuzz::must(std::isfinite((*verifier)->conversation().full.logit(features)), "a verifier decides");
    }
  } else {
    if (const auto keys = vault::parse_keys(input.rest(), "input"); !keys)
      fuzz::must(!keys.error().message.empty(), "a refusal says why");
  }
  return 0;
}
