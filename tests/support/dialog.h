#pragma once

#include <string>
#include <vector>

namespace sluice::test {

/// What somebody at a keyboard answers when libmariadb's `dialog` plugin asks: as long as the
/// object lives, logins of this thread get its answers one after the other, and an empty one when
/// there are none left. A password in ClientOptions answers the first question before anybody is
/// asked.
class Dialog {
 public:
  explicit Dialog(std::vector<std::string> answers);
  ~Dialog();
  Dialog(const Dialog&) = delete;
  Dialog& operator=(const Dialog&) = delete;

  /// The questions so far.
  const std::vector<std::string>& asked() const { return asked_; }
  std::string answer(const std::string& question);

 private:
  std::vector<std::string> answers_, asked_;
};

}  // namespace sluice::test
