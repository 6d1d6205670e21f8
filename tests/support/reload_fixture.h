#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/sluice.h"
#include "tests/support/topologies.h"

namespace sluice::test {

/// For tests of reloads: three servers that all tests of the program share, so that each costs only
/// a sluiced. `primary` and `replica` are a pair; `left` is the primary seen as a cluster of its
/// own, `right` stands alone.
class ReloadTest : public testing::Test {
 protected:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

  static MariadbServer& primary() { return pair_->primary; }
  static MariadbServer& replica() { return pair_->replica; }
  static MariadbServer& left() { return pair_->primary; }
  static MariadbServer& right() { return *alone_; }
  static std::string id(const MariadbServer& server) { return std::to_string(server.server_id()); }

  /// Clusters and services `left` and `right`: who answers tells which service it was.
  static SluiceConfig two_services();
  /// The id of the server that answers a new connection, or what the client was told instead.
  static std::string answering(const Sluice& sluice, const std::string& service);
  /// Whether nobody listens there.
  static bool is_refused(const ClientOptions& endpoint);
  /// A new session on that server; throws if none comes of fifty tries.
  static Client session_on(const Sluice& sluice, const std::string& service,
                           const std::string& server_id);

 private:
  static inline std::unique_ptr<ReplicationPair> pair_;
  static inline std::unique_ptr<MariadbServer> alone_;
};

}  // namespace sluice::test
