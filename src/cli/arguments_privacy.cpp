#include <CLI/CLI.hpp>

#include "cli/privacy_commands.h"

namespace enhanced_gptcache::cli {
namespace {

void add_subject(CLI::App& command, SubjectArguments& wanted) {
  command.add_option("--subject", wanted.subject, "whose data: a subject, a user, or the id of a key");
  command
      .add_option("--namespace", wanted.name_space,
                  "only in this namespace (default: everywhere in the tenant)")
      ->each([&wanted](const std::string&) { wanted.has_namespace = true; });
  command.add_option("--api-key-env", wanted.key_variable,
                     "environment variable with the key of an operator or admin of the tenant");
}

void add_encryption(CLI::App& app, const Common& common, PrivacyCommands& commands, int& exit_code) {
  CLI::App* encryption = app.add_subcommand("encryption", "Master keys of encryption at rest.");
  encryption->require_subcommand(1);
  const auto add_key = [&commands](CLI::App* command) {
    command->add_option("--api-key-env", commands.key_variable,
                        std::string("environment variable with an admin's key") + kDefaultKey);
  };
  CLI::App* status =
      encryption->add_subcommand("status", "Which keys are in use, and how far a rotation is.");
  add_key(status);
  status->callback([&] { exit_code = encryption_status(common, commands.key_variable); });
  CLI::App* rotate = encryption->add_subcommand(
      "rotate", "Read the keys again; from now on the first one seals, also what is stored already.");
  add_key(rotate);
  rotate->callback([&] { exit_code = encryption_rotate(common, commands.key_variable); });
}

}  // namespace

void add_privacy_commands(CLI::App& app, const Common& common, PrivacyCommands& commands, int& exit_code) {
  CLI::App* erasing =
      app.add_subcommand("erase", "Erase a subject from the running server; prints a signed receipt.");
  add_subject(*erasing, commands.erase);
  erasing->add_option("--verify-receipt", commands.erase.receipt_file,
                      "only check the signature of this receipt (exit code 1 when it does not hold)");
  erasing->add_option("--public-key", commands.erase.public_key,
                      "who must have signed it, 64 hexadecimal digits (default: this installation, when its "
                      "instance key can be read, else whoever it names)");
  erasing->callback([&] { exit_code = erase(common, commands.erase); });
  CLI::App* exporting = app.add_subcommand("export", "Print what is stored of a subject, as JSON lines.");
  add_subject(*exporting, commands.subject_export);
  exporting->callback([&] { exit_code = export_subject(common, commands.subject_export); });
  add_encryption(app, common, commands, exit_code);
}

}  // namespace enhanced_gptcache::cli
