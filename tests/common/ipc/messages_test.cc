#include "common/ipc/messages.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/common/ipc/fill.h"

namespace sluice::ipc {
namespace {

/// The wire tags of one struct.
template <class T>
std::multiset<uint32_t> tags_of() {
  T value;
  return std::apply([](auto... field) { return std::multiset<uint32_t>{field.kTag...}; },
                    T::fields(value));
}

template <class Message>
void expect_to_travel() {
  const auto tags = tags_of<Message>();
  EXPECT_EQ(std::set<uint32_t>(tags.begin(), tags.end()).size(), tags.size()) << "a tag used twice";

  const auto whole = encode(test::filled<Message>());
  const auto back = decode<Message>(whole);
  ASSERT_TRUE(back);
  EXPECT_EQ(encode(*back), whole);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto cut = decode<Message>(ByteSpan(whole).first(n));
    if (!cut) {
      EXPECT_FALSE(cut.error().field.empty()) << "cut at " << n;
    } else {
      EXPECT_NE(encode(*cut), whole) << "cut at " << n;
    }
  }
}

TEST(Messages, EachIsTheSameAfterItHasTravelled){
#define SLUICE_TEST_MESSAGE(id, message, from, to, when, fds) \
  {                                                           \
    SCOPED_TRACE(#message);                                   \
    expect_to_travel<message>();                              \
  }
    SLUICE_IPC_MESSAGES(SLUICE_TEST_MESSAGE)
#undef SLUICE_TEST_MESSAGE
}

TEST(Messages, EachHasAnIdOfItsOwn) {
  std::multiset<int> ids;
#define SLUICE_TEST_ID(id, message, from, to, when, fds) ids.insert(id);
  SLUICE_IPC_MESSAGES(SLUICE_TEST_ID)
#undef SLUICE_TEST_ID
  EXPECT_EQ(std::set<int>(ids.begin(), ids.end()).size(), ids.size());
}

}  // namespace
}  // namespace sluice::ipc
