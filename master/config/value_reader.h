// One value of the file, judged by its key's row of the schema.
#pragma once

#include <optional>
#include <string>

#include "master/config/document.h"
#include "master/config/endpoint.h"
#include "master/config/parse.h"
#include "master/config/problems.h"
#include "master/config/schema.h"

namespace sluice::config {

/// Makes Values of Nodes, or problems. Reads files with secrets through Inputs::read_secret.
class ValueReader {
 public:
  ValueReader(const Inputs& inputs, Problems& problems) : inputs_(inputs), problems_(problems) {}

  /// Nothing if there was a problem that is an error; it is reported then. `path` names the value
  /// in messages.
  std::optional<Value> read(const Key& key, const Node& node, const std::string& path);

  /// The key file of encrypted values. To be set before a password is read.
  void use_secrets_key(std::string path) { secrets_key_ = std::move(path); }

 private:
  /// What is being read: for messages.
  struct Subject {
    const Key& key;
    const Node& node;
    const std::string& path;
  };
  using Read = std::optional<Value>;

  Read refuse(const Subject& subject, std::string text, std::string hint = {});
  Read wrong_type(const Subject& subject);
  Read number(const Subject& subject, uint64_t number);
  Read integer(const Subject& subject);
  Read duration(const Subject& subject);
  Read size(const Subject& subject);
  Read mode(const Subject& subject);
  Read choice(const Subject& subject);
  Read path(const Subject& subject);
  Read address(const Subject& subject);
  Read listen(const Subject& subject);
  Read networks(const Subject& subject);
  template <class Item>
  Read list(const Subject& subject, Taken<Item> (*parse)(std::string_view));
  Read password(const Subject& subject);
  Read password_file(const Subject& subject);
  Read credential(const Subject& subject);
  Read string_value(const Subject& subject);
  Read from_file(const Subject& subject, const std::string& file);
  std::string beside_configuration(const std::string& path) const;

  const Inputs& inputs_;
  Problems& problems_;
  std::string secrets_key_;
  bool warned_about_key_ = false;
};

}  // namespace sluice::config
