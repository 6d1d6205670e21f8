// The one table of all keys: where a key stands, what it takes, what it means and where it is
// stored. Reader, diff, messages, sluice.toml(5)'s test and the tests of defaults work from it
// alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "common/config/config.h"

namespace sluice::config {

/// What a key takes.
enum class Type : uint8_t {
  boolean,
  integer,
  duration,  ///< stored as milliseconds
  size,      ///< stored as bytes
  mode,      ///< of a file, octal text
  choice,    ///< one of Key::names
  text,
  path,           ///< absolute: something that sluice makes
  file,           ///< to be read; a relative one begins beside the configuration file
  address,        ///< of a server
  listen,         ///< list of addresses to listen on
  networks,       ///< list
  password,       ///< clear or "encrypted:..."
  password_file,  ///< a file with the password
  credential,     ///< name of a systemd credential with the password
};

/// A value of any type, as it comes from the file and goes into a struct. Durations in
/// milliseconds, sizes in bytes; a choice is its text.
using Value = std::variant<bool, uint64_t, std::string, Secret, Endpoint, std::vector<Endpoint>,
                           std::vector<std::string>>;

/// The structs that the keys of one table are stored in; those that the table has no keys for are
/// null.
using Objects = std::tuple<Process*, Cluster*, Server*, Service*>;
using ConstObjects = std::tuple<const Process*, const Cluster*, const Server*, const Service*>;

/// Which of them a key belongs to.
enum class Scope : uint8_t { process, cluster, server, service };

/// The way between a Value and a member of a struct; made by at<> in schema.cc.
struct Binding {
  Scope scope;
  void (*store)(const Objects& objects, const Value& value);
  Value (*load)(const ConstObjects& objects);
  std::span<const std::string_view> names;  ///< of the enum, if the member is one
};

struct Key {
  std::string_view table;  ///< "cluster.*.servers.*"; "*" is a name that the user gives
  std::string_view name;
  Type type;
  Binding binding;
  std::string_view default_text;  ///< as it would stand in the file, without quotes; may be empty
  std::string_view help;          ///< one line

  bool required = false;
  bool inherited = false;  ///< of a server; in the cluster's table it holds for all of them
  uint64_t min = 0, max = UINT32_MAX;         ///< integer; duration in milliseconds, size in bytes
  std::span<const std::string_view> names{};  ///< choice
  std::span<const std::string_view> later{};  ///< those of the names that this release refuses

  /// The names without those of `later`: what messages propose.
  std::vector<std::string_view> proposed() const;

  /// "tls.mode": the name within its server, service, cluster; with "sluice." for the process.
  std::string local_name() const;
};

std::span<const Key> schema();

/// The key of a table, also one that the table holds for its servers; null if there is none.
const Key* find_key(std::string_view table, std::string_view name);
/// Keys and tables that may stand in a table.
std::vector<std::string_view> known_names(std::string_view table);
/// Whether there is such a table; its pattern, "cluster.*.tls".
bool is_table(std::string_view table);
/// Whether what stands in it are names that the user gives ("cluster", "cluster.*.servers").
bool holds_names(std::string_view table);

/// The value as it would stand in the file, without quotes. Not for passwords.
std::string to_text(const Key& key, const Value& value);

/// The range of a key for messages: "50ms to 1h".
std::string range_text(const Key& key);

/// What a type looks like: `a duration such as "250ms" or "5m"`.
std::string_view example(Type type);

}  // namespace sluice::config
