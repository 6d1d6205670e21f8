// What is wrong with a configuration, collected: everything in one go, in the order of the files.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/closest.h"
#include "common/ipc/messages.h"
#include "master/config/document.h"

namespace sluice::config {

/// Collects problems. A place becomes a file name here and nowhere else.
class Problems {
 public:
  /// `files`: the names that Place::file counts.
  explicit Problems(std::vector<std::string> files) : files_(std::move(files)) {}

  /// `key` is the dotted path of what it is about; may be empty. `hint` says what to do; it may be
  /// empty, or have several lines.
  void error(Place at, std::string key, std::string text, std::string hint = {});
  void warning(Place at, std::string key, std::string text, std::string hint = {});

  /// "sluice.toml:14:10"
  std::string name(Place at) const;
  /// All of them by file, line and column.
  std::vector<ipc::Problem> sorted() const;

 private:
  struct Entry {
    Place at;
    ipc::Problem problem;
  };
  void add(Place at, ipc::Problem problem);

  std::vector<std::string> files_;
  std::vector<Entry> entries_;
};

/// Where every key that was given stands, by its dotted path ("service.rw.listen[1]").
class Places {
 public:
  void put(std::string path, Place place) { places_.insert_or_assign(std::move(path), place); }
  bool has(const std::string& path) const { return places_.contains(path); }
  /// Of the path, or of the nearest table around it that was given.
  Place of(std::string_view path) const;

 private:
  std::map<std::string, Place, std::less<>> places_;
};

/// `path` and `name` with a dot between; a name that is not a bare key of TOML is quoted.
std::string join(std::string_view path, std::string_view name);

/// `did you mean "x"? known: x, y, z`, or only the known words when none is near.
std::string suggest(std::span<const std::string_view> known, std::string_view word);

}  // namespace sluice::config
