#include <CLI/CLI.hpp>

#include "cli/security_commands.h"

namespace enhanced_gptcache::cli {
namespace {

constexpr int64_t kGraceSecondsMax = int64_t{30} * 24 * 3600;

void add_key_source(CLI::App& command, KeysArguments& wanted) {
  command.add_option("--api-key-env", wanted.key_variable,
                     std::string("environment variable with an admin's key") + kDefaultKey);
  command.add_flag("--json", wanted.as_json, "print JSON");
}

void add_create(CLI::App& keys, const Common& common, KeysArguments& wanted, int& exit_code) {
  CLI::App* command = keys.add_subcommand("create", "Make a key; it is printed once and kept nowhere.");
  command->add_option("--name", wanted.name, "what people call it");
  command->add_option("--role", wanted.role, "viewer, client (default), operator or admin")
      ->check(CLI::IsMember({"viewer", "client", "operator", "admin"}));
  command->add_option("--tenant", wanted.tenant, "whose entries it shares (default: a tenant of its own)");
  command->add_option("--scope", wanted.scopes, "narrow it to this scope; may be given more than once");
  command->add_option("--namespace", wanted.namespaces,
                      "narrow it to this namespace; may be given more than once, the first is its default");
  command->add_option("--control", wanted.controls,
                      "cache control it may use; may be given more than once (default: all)");
  command->add_option("--expires-in", wanted.expires_in, "lifetime, such as 90d, 12h, 30m or 60s");
  command->add_flag("--trusted", wanted.trusted,
                    "for loaders and evaluation: not taken for a prober, its entries are shared at once");
  add_key_source(*command, wanted);
  command->callback([&] { exit_code = keys_create(common, wanted); });
}

void add_audit(CLI::App& app, const Common& common, AuditArguments& wanted, int& exit_code) {
  CLI::App* audit = app.add_subcommand("audit", "The log of administrative and refused calls.");
  audit->require_subcommand(1);
  CLI::App* verify = audit->add_subcommand(
      "verify", "Find changed, removed, reordered or cut-off lines (exit code 1 when there are any).");
  verify->add_option("--folder", wanted.folder, "storage folder (default: storage.path)");
  verify->callback([&] { exit_code = audit_verify(common, wanted); });
  CLI::App* tail = audit->add_subcommand("tail", "Print the newest lines.");
  tail->add_option("--folder", wanted.folder, "storage folder (default: storage.path)");
  tail->add_option("--count", wanted.count, "how many (default: 20)")->check(CLI::Range(1, 100'000));
  tail->callback([&] { exit_code = audit_tail(common, wanted); });
}

}  // namespace

void add_security_commands(CLI::App& app, const Common& common, SecurityCommands& commands, int& exit_code) {
  CLI::App* keys = app.add_subcommand(
      "keys", "Keys of this installation: of the running server, or in the storage folder when none runs.");
  keys->require_subcommand(1);
  KeysArguments& wanted = commands.keys;
  add_create(*keys, common, wanted, exit_code);
  CLI::App* list = keys->add_subcommand("list", "All keys, without their secrets.");
  add_key_source(*list, wanted);
  list->callback([&] { exit_code = keys_list(common, wanted); });
  CLI::App* rotate = keys->add_subcommand("rotate", "Give a key a new secret; it is printed once.");
  rotate->add_option("prefix", wanted.prefix, "the first part of the key, or the key itself")->required();
  rotate->add_option("--grace-seconds", wanted.grace_seconds, "how long the old secret goes on (default: 0)")
      ->check(CLI::Range(int64_t{0}, kGraceSecondsMax));
  add_key_source(*rotate, wanted);
  rotate->callback([&] { exit_code = keys_rotate(common, wanted); });
  CLI::App* revoke = keys->add_subcommand("revoke", "End a key at once.");
  revoke->add_option("prefix", wanted.prefix, "the first part of the key, or the key itself")->required();
  add_key_source(*revoke, wanted);
  revoke->callback([&] { exit_code = keys_revoke(common, wanted); });
  add_audit(app, common, commands.audit, exit_code);
}

}  // namespace enhanced_gptcache::cli
