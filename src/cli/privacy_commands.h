#pragma once
// `erase`, `export` and `encryption`: what the command line knows of them. Each returns an exit code.

#include <string>

#include "cli/commands.h"

namespace CLI {
class App;
}

namespace enhanced_gptcache::cli {

struct SubjectArguments {
  std::string subject, name_space, key_variable;
  bool has_namespace = false;
  std::string receipt_file;  ///< of `erase`: verify this one instead
  std::string
      public_key;  ///< whose receipt it must be; empty: of this installation, where its key can be read
};

/// Both ask the running server: the tenant is that of the credential.
int erase(const Common& common, const SubjectArguments& wanted);
int export_subject(const Common& common, const SubjectArguments& wanted);

int encryption_status(const Common& common, const std::string& key_variable);
int encryption_rotate(const Common& common, const std::string& key_variable);

/// What the argument parser writes to.
struct PrivacyCommands {
  SubjectArguments erase, subject_export;
  std::string key_variable;
};
void add_privacy_commands(CLI::App& app, const Common& common, PrivacyCommands& commands, int& exit_code);

}  // namespace enhanced_gptcache::cli
