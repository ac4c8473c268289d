#pragma once
// The subcommands backup and restore. They take what a running server may not be asked to take (settings
// file, models, logs) from disk, and the entries from the server's checkpoint or, when none runs, from the
// folder.

#include <string>

#include "backup/backup.h"
#include "cli/commands.h"

namespace CLI {
class App;
}

namespace enhanced_gptcache::cli {

/// Where a backup keeps its copy of the erasure ledger.
inline constexpr const char* kLedgerInBackup = "cache/erasures.ledger";

struct BackupArguments {
  std::string output = "/opt/backups/enhanced-gptcache";
  std::string verify;  ///< a backup to verify instead of making one
  std::string key_variable;
  std::string key_file;  ///< keys of encrypted backups; empty: those of the settings
  int keep_days = 30;  ///< 0: keep all
  bool without_models = false;
};
struct RestoreArguments {
  std::string file;
  std::string root = "/opt/enhanced-gptcache";
  std::string config, models, data, logs;  ///< places; empty: below root
  std::string ledger;                      ///< a newer erasure ledger, from elsewhere
  std::string key_file;                    ///< as in BackupArguments
  bool dry_run = false;
};

int backup(const Common& common, const BackupArguments& wanted);
int restore(const Common& common, const RestoreArguments& wanted);

/// What opens this backup; null when it is not encrypted. Without a key file the settings name the keys, and
/// they are not looked at for a backup that needs none.
Result<backup::BackupKeys> keys_of_backup(const Common& common, const std::string& key_file,
                                          const std::string& path);

struct BackupCommands {
  BackupArguments backup;
  RestoreArguments restore;
};
/// As add_eval_commands.
void add_backup_commands(CLI::App& app, const Common& common, BackupCommands& commands, int& exit_code);

}  // namespace enhanced_gptcache::cli
