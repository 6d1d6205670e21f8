#include "master/config/schema.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <map>
#include <set>
#include <utility>

#include "master/config/diff.h"
#include "master/config/load.h"
#include "master/config/value_reader.h"
#include "tests/master/config/fixture.h"

namespace sluice::config {
namespace {

const Process kProcess;
const Cluster kCluster;
const Server kServer;
const Service kService;
const ConstObjects kDefaults{&kProcess, &kCluster, &kServer, &kService};

std::string qualified(const Key& key) {
  return fmt::format("{}.{}", key.table, key.name);
}

/// The node that `text` would be in a file.
Node node_of(const Key& key, std::string_view text) {
  Node node;
  node.kind = Node::Kind::string;
  node.text = text;
  if (key.type == Type::integer) {
    node.kind = Node::Kind::integer;
    std::from_chars(text.data(), text.data() + text.size(), node.integer);
  } else if (key.type == Type::boolean) {
    node.kind = Node::Kind::boolean;
    node.integer = text == "true";
  }
  return node;
}

TEST(Schema, EveryDefaultIsThatOfTheStruct) {
  const auto inputs = test::inputs_of("sluice.toml", "");
  for (const Key& key : schema()) {
    const Value in_struct = key.binding.load(kDefaults);
    if (key.type == Type::password) continue;
    if (key.type == Type::password_file || key.type == Type::credential || key.required) {
      EXPECT_EQ(key.default_text, "") << qualified(key);
    } else if (key.default_text.empty()) {
      EXPECT_EQ(to_text(key, in_struct), "") << qualified(key);
    } else {
      Problems problems({"sluice.toml"});
      const auto read =
          ValueReader(inputs, problems).read(key, node_of(key, key.default_text), "x");
      ASSERT_TRUE(read) << qualified(key) << ": the default is not accepted";
      EXPECT_EQ(*read, in_struct) << qualified(key);
      EXPECT_EQ(to_text(key, in_struct), key.default_text) << qualified(key);
    }
  }
}

TEST(Schema, RowsAreWhole) {
  std::set<std::string> seen;
  for (const Key& key : schema()) {
    EXPECT_TRUE(seen.insert(qualified(key)).second) << qualified(key) << " stands twice";
    EXPECT_FALSE(key.help.empty()) << qualified(key);
    EXPECT_EQ(key.type == Type::choice, !key.names.empty()) << qualified(key);
    EXPECT_FALSE(example(key.type).empty());
    EXPECT_EQ(find_key(key.table, key.name), &key);
  }
}

TEST(Schema, TheLargestNumberHasRoom) {
  Process process;
  Cluster cluster;
  Server server;
  Service service;
  for (const Key& key : schema()) {
    if (!std::holds_alternative<uint64_t>(key.binding.load(kDefaults))) continue;
    key.binding.store({&process, &cluster, &server, &service}, Value(key.max));
    EXPECT_EQ(key.binding.load({&process, &cluster, &server, &service}), Value(key.max))
        << qualified(key);
  }
}

TEST(Schema, WhatAClusterSaysForItsServers) {
  EXPECT_TRUE(find_key("cluster.*", "connect_timeout"));
  EXPECT_TRUE(find_key("cluster.*.tls", "ca"));
  EXPECT_FALSE(find_key("cluster.*", "weight"));
  EXPECT_FALSE(find_key("cluster.*", "mode"));
  EXPECT_TRUE(find_key("cluster.*", "public_key_retrieval"));
  EXPECT_TRUE(find_key("cluster.*.tls", "ciphers"));
  EXPECT_TRUE(is_table("cluster.*.tls"));
  EXPECT_TRUE(is_table("cluster.*.servers.*.tls"));
  EXPECT_FALSE(is_table("cluster.*.server"));
  EXPECT_TRUE(holds_names("cluster"));
  EXPECT_TRUE(holds_names("cluster.*.servers"));
  EXPECT_FALSE(holds_names("cluster.*"));
}

// Diff.

/// A configuration with one of everything.
Config sample() {
  Config config;
  config.clusters = {{.name = "shop", .user = "u", .password = Secret("s3cret")}};
  config.clusters[0].servers = {{.name = "db1", .address = {"10.0.0.1", 3306, ""}}};
  config.services = {{.name = "shop", .cluster = "shop"}};
  config.services[0].listen = {{"127.0.0.1", 3306, ""}};
  return config;
}

Objects objects_of(Config& config) {
  return {&config.sluice, &config.clusters[0], &config.clusters[0].servers[0], &config.services[0]};
}

/// Another value of the same type, that the key would accept where it can be told.
Value other_value(const Key& key, const Value& value) {
  struct Visitor {
    const Key& key;
    Value operator()(bool flag) const { return Value(!flag); }
    Value operator()(uint64_t number) const { return Value(number == key.min ? key.max : key.min); }
    Value operator()(const std::string& text) const {
      for (const auto name : key.names)
        if (name != text) return Value(std::string(name));
      return Value(text + "x");
    }
    Value operator()(const Secret&) const { return Value(Secret("other-s3cret")); }
    Value operator()(const Endpoint&) const { return Value(Endpoint{"10.9.9.9", 3307, ""}); }
    Value operator()(const std::vector<Endpoint>& list) const {
      auto longer = list;
      longer.push_back({"10.9.9.9", 3307, ""});
      return Value(longer);
    }
    Value operator()(const std::vector<std::string>&) const {
      return Value(std::vector<std::string>{"10.0.0.0/8"});
    }
  };
  return std::visit(Visitor{key}, value);
}

TEST(Diff, OfEqualsIsEmpty) {
  EXPECT_TRUE(diff(Config{}, Config{}).empty());
  EXPECT_TRUE(diff(sample(), sample()).empty());
}

TEST(Diff, FindsEachChangedKey) {
  for (const Key& key : schema()) {
    const Config before = sample();
    Config after = sample();
    const auto objects = objects_of(after);
    if (enum_name(RouterKind{}) == to_text(key, key.binding.load(objects)) && key.names.size() == 1)
      continue;  // the only router there is: no other value
    key.binding.store(objects, other_value(key, key.binding.load(objects)));
    ASSERT_NE(before, after) << qualified(key);

    const auto changes = diff(before, after);
    ASSERT_EQ(changes.size(), 1u) << qualified(key);
    const Change& change = changes[0];
    EXPECT_EQ((change.name + change.detail).find("s3cret"), std::string::npos);
    if (key.type == Type::listen) {
      EXPECT_EQ(change, (Change{Change::Kind::added, "listener", "shop 10.9.9.9:3307", ""}));
    } else {
      EXPECT_EQ(change.kind, Change::Kind::changed);
      const auto text = change.what == "setting" ? change.name : change.detail;
      const bool password = std::holds_alternative<Secret>(key.binding.load(objects));
      EXPECT_TRUE(text.starts_with(password ? "password changed" : key.local_name()))
          << qualified(key) << ": " << text;
    }
  }
}

TEST(Diff, NamesWhatAppearsAndGoes) {
  using Kind = Change::Kind;
  Config after = sample();
  after.services[0].name = "web";
  after.clusters[0].servers.push_back({.name = "db2", .address = {"10.0.0.2", 3306, ""}});
  after.services[0].target = Target::replica;
  const std::vector<Change> expected = {
      {Kind::added, "server", "shop/db2", "10.0.0.2:3306"},
      {Kind::removed, "service", "shop", "router connection, cluster shop"},
      {Kind::removed, "listener", "shop 127.0.0.1:3306", ""},
      {Kind::added, "service", "web", "router connection, cluster shop"},
      {Kind::added, "listener", "web 127.0.0.1:3306", ""},
  };
  EXPECT_EQ(diff(sample(), after), expected);
}

TEST(Diff, SaysFromWhatToWhat) {
  Config after = sample();
  after.sluice.workers = 4;
  after.sluice.log.file = "/var/log/sluice.log";
  after.services[0].target = Target::replica;
  after.clusters[0].servers[0].connect_timeout_ms = 500;
  const auto changes = diff(sample(), after);
  ASSERT_EQ(changes.size(), 4u);
  EXPECT_EQ(changes[0].name, "sluice.workers");
  EXPECT_EQ(changes[0].detail, "0 -> 4");
  EXPECT_EQ(changes[1].name, "sluice.log.file");
  EXPECT_EQ(changes[1].detail, "\"\" -> /var/log/sluice.log");
  EXPECT_EQ(changes[2].name, "shop/db1");
  EXPECT_EQ(changes[2].detail, "connect_timeout: 3s -> 500ms");
  EXPECT_EQ(changes[3].detail, "target: primary -> replica");
}

TEST(Diff, NamesFilesWhoseContentChanged) {
  const Tls tls{.mode = TlsMode::required,
                .ca = "/ca.pem",
                .certificate = "/c.pem",
                .key = "/k.pem",
                .ca_pem = "old ca",
                .certificate_pem = "old certificate",
                .key_pem = Secret("old s3cret"),
                .not_after_s = 1'700'000'000};
  Tls renewed = tls;
  renewed.ca_pem = "new ca";
  renewed.certificate_pem = "new certificate";
  renewed.key_pem = Secret("new s3cret");
  renewed.not_after_s = 1'801'353'600;
  Config before = sample(), after = sample();
  before.services[0].tls = before.clusters[0].servers[0].tls = tls;
  after.services[0].tls = after.clusters[0].servers[0].tls = renewed;
  using Kind = Change::Kind;
  const std::vector<Change> expected = {
      {Kind::changed, "server", "shop/db1", "tls.ca: changed content"},
      {Kind::changed, "server", "shop/db1", "tls.certificate: changed content, expires 2027-01-31"},
      {Kind::changed, "server", "shop/db1", "tls.key: changed content"},
      {Kind::changed, "service", "shop", "tls.ca: changed content"},
      {Kind::changed, "service", "shop", "tls.certificate: changed content, expires 2027-01-31"},
      {Kind::changed, "service", "shop", "tls.key: changed content"},
  };
  EXPECT_EQ(diff(before, after), expected);
}

TEST(Diff, OfTlsThatIsTurnedOnNamesWhatIsReadNow) {
  Config before = sample(), after = sample();
  before.services[0].tls = {.certificate = "/c.pem", .key = "/k.pem"};
  after.services[0].tls = {.mode = TlsMode::preferred,
                           .certificate = "/c.pem",
                           .key = "/k.pem",
                           .certificate_pem = "certificate",
                           .key_pem = Secret("s3cret"),
                           .not_after_s = 1'801'353'600};
  const auto details = [](const std::vector<Change>& changes) {
    std::vector<std::string> out;
    for (const Change& change : changes) out.push_back(change.detail);
    return out;
  };
  EXPECT_EQ(details(diff(before, after)),
            (std::vector<std::string>{"tls.mode: off -> preferred",
                                      "tls.certificate: now read, expires 2027-01-31",
                                      "tls.key: now read"}));
  EXPECT_EQ(
      details(diff(after, before)),
      (std::vector<std::string>{"tls.mode: preferred -> off", "tls.certificate: no longer read",
                                "tls.key: no longer read"}));
}

TEST(Diff, OfAnotherFileNamesTheFileAlone) {
  Config before = sample(), after = sample();
  before.services[0].tls = {.certificate = "/a.pem", .certificate_pem = "a"};
  after.services[0].tls = {.certificate = "/b.pem", .certificate_pem = "b"};
  const auto changes = diff(before, after);
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].detail, "tls.certificate: /a.pem -> /b.pem");
}

TEST(Diff, IsNotEmptyWhenOnlyTheOrderDiffers) {
  Config before = sample(), after = sample();
  before.services[0].listen = {{"127.0.0.1", 1, ""}, {"127.0.0.1", 2, ""}};
  after.services[0].listen = {{"127.0.0.1", 2, ""}, {"127.0.0.1", 1, ""}};
  EXPECT_EQ(diff(before, after).size(), 1u);
}

// The manual.

/// Items of sluice.toml.5 by table and key. A table's section is ".Ss [cluster.NAME]", a key's item
/// ".It Ic KEY ...", and what follows up to the next item belongs to it.
std::map<std::string, std::string> documented_keys() {
  std::ifstream page(SLUICE_TEST_DATA "/../../man/sluice.toml.5");
  std::map<std::string, std::string> items;
  std::string table, key;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with(".Ss [")) {
      table = line.substr(5, line.find(']') - 5);
      for (auto at = table.find("NAME"); at != std::string::npos; at = table.find("NAME"))
        table.replace(at, 4, "*");
      key.clear();
    } else if (line.starts_with(".Sh ") || line.starts_with(".Ss ")) {
      table.clear();
      key.clear();
    } else if (line.starts_with(".It Ic ") && !table.empty()) {
      const auto words = line.substr(7);
      key = fmt::format("{}.{}", table, words.substr(0, words.find(' ')));
    }
    if (!key.empty()) items[key] += line + "\n";
  }
  return items;
}

TEST(Manual, DocumentsEveryKey) {
  const auto items = documented_keys();
  for (const Key& key : schema()) {
    const auto item = items.find(qualified(key));
    ASSERT_TRUE(item != items.end()) << qualified(key) << " is not in sluice.toml(5)";
    const std::string& text = item->second;
    if (!key.default_text.empty()) {
      EXPECT_NE(text.find(fmt::format("default Ql {}", key.default_text)), std::string::npos)
          << qualified(key) << ": the page should give the default " << key.default_text;
    }
    if (key.required) {
      EXPECT_NE(text.find("required"), std::string::npos) << qualified(key);
    }
    if (key.max != UINT32_MAX) {
      EXPECT_NE(text.find(range_text(key)), std::string::npos)
          << qualified(key) << ": the page should give the range " << range_text(key);
    }
    for (const auto name : key.names) {
      EXPECT_NE(text.find(name), std::string::npos) << qualified(key) << ": " << name;
    }
  }
}

TEST(Manual, ItsExamplesAreRight) {
  std::ifstream page(SLUICE_TEST_DATA "/../../man/sluice.toml.5");
  std::string example;
  int examples = 0;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with(".Bd -literal")) {
      inside = true;
    } else if (line == ".Ed" && std::exchange(inside, false)) {
      for (const auto& problem : test::parse_text(std::exchange(example, "")).problems)
        ADD_FAILURE() << render(problem);
      ++examples;
    } else if (inside) {
      example += line + "\n";
    }
  }
  EXPECT_EQ(examples, 3);
}

TEST(Manual, DocumentsNoKeyThatDoesNotExist) {
  std::set<std::string> known = {"cluster.*.servers"};
  for (const Key& key : schema()) known.insert(qualified(key));
  for (const auto& [name, text] : documented_keys()) EXPECT_TRUE(known.contains(name)) << name;
}

}  // namespace
}  // namespace sluice::config
