#include <CLI/CLI.hpp>

#include "cli/backup_commands.h"

namespace enhanced_gptcache::cli {
namespace {

constexpr int kKeepDaysMax = 36'500;

void add_backup(CLI::App& app, const Common& common, BackupArguments& wanted, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "backup", "Back up settings, models, entries and recent logs, while the server runs or not.");
  command->add_option("--output", wanted.output, "folder of the backups (default: " + wanted.output + ")");
  command->add_option("--verify", wanted.verify, "only check every file of this backup against its checksum");
  command
      ->add_option("--keep-days", wanted.keep_days,
                   "afterwards remove older backups from that folder; 0 keeps all (default: 30)")
      ->check(CLI::Range(0, kKeepDaysMax));
  command->add_option(
      "--backup-key-file", wanted.key_file,
      "file of the keys of encrypted backups; with it they are encrypted whatever the settings say");
  command->add_flag("--without-models", wanted.without_models, "leave the model files out");
  command->add_option("--api-key-env", wanted.key_variable,
                      std::string("environment variable with the key for the server's /admin") + kDefaultKey);
  command->callback([&] { exit_code = backup(common, wanted); });
}

void add_restore(CLI::App& app, const Common& common, RestoreArguments& wanted, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "restore", "Verify a backup and put it in place; the server must be stopped, its old state is kept.");
  command->add_option("file", wanted.file, "backup_<timestamp>.tar.gz, or .tar.gz.enc")->required();
  command->add_option("--root", wanted.root, "folder of the installation (default: " + wanted.root + ")");
  command->add_option("--config-to", wanted.config, "settings file (default: its name below the root)");
  command->add_option("--models-to", wanted.models, "folder of the models (default: models below the root)");
  command->add_option("--data-to", wanted.data, "storage.path (default: data/cache below the root)");
  command->add_option("--logs-to", wanted.logs, "folder of the logs (default: logs below the root)");
  command->add_option("--ledger", wanted.ledger,
                      "an erasure ledger kept elsewhere; what it names is erased from the backup, too");
  command->add_option("--backup-key-file", wanted.key_file,
                      "file of the keys of encrypted backups (default: those that the settings name)");
  command->add_flag("--dry-run", wanted.dry_run, "verify and unpack, then replace nothing");
  command->callback([&] { exit_code = restore(common, wanted); });
}

}  // namespace

void add_backup_commands(CLI::App& app, const Common& common, BackupCommands& commands, int& exit_code) {
  add_backup(app, common, commands.backup, exit_code);
  add_restore(app, common, commands.restore, exit_code);
}

}  // namespace enhanced_gptcache::cli
