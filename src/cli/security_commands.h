#pragma once
// `keys` and `audit`: what the command line knows of them. Each returns an exit code.

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace CLI {
class App;
}

namespace enhanced_gptcache::cli {

struct KeysArguments {
  std::string name, role = "client", tenant, prefix, key_variable, expires_in;
  std::vector<std::string> scopes, namespaces, controls;
  int64_t grace_seconds = 0;
  bool trusted = false;
  bool as_json = false;
};

int keys_create(const Common& common, const KeysArguments& wanted);
int keys_list(const Common& common, const KeysArguments& wanted);
int keys_rotate(const Common& common, const KeysArguments& wanted);
int keys_revoke(const Common& common, const KeysArguments& wanted);

struct AuditArguments {
  std::string folder;  ///< empty: storage.path
  size_t count = 20;
};
/// Read the files themselves, also beside a running server.
int audit_verify(const Common& common, const AuditArguments& wanted);
int audit_tail(const Common& common, const AuditArguments& wanted);

/// What the argument parser writes to.
struct SecurityCommands {
  KeysArguments keys;
  AuditArguments audit;
};
void add_security_commands(CLI::App& app, const Common& common, SecurityCommands& commands, int& exit_code);

}  // namespace enhanced_gptcache::cli
