/// What the classifier says of statements, hazard by hazard (the list of read/write hazards).
#include "worker/sql/classify.h"

#include <gtest/gtest.h>

namespace sluice::sql {
namespace {

TEST(Classify, APointSelectIsARead) {
  EXPECT_EQ(classify("SELECT c FROM sbtest1 WHERE id=12345", {}).need, Need::Read);
}

}  // namespace
}  // namespace sluice::sql
