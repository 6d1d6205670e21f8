#include "tests/support/dialog.h"

#include <mysql.h>

namespace sluice::test {
namespace {

thread_local Dialog* current = nullptr;

}  // namespace

Dialog::Dialog(std::vector<std::string> answers) : answers_(std::move(answers)) {
  current = this;
}

Dialog::~Dialog() {
  current = nullptr;
}

std::string Dialog::answer(const std::string& question) {
  const auto index = asked_.size();
  asked_.push_back(question);
  return index < answers_.size() ? answers_[index] : std::string();
}

}  // namespace sluice::test

/// libmariadb's plugin looks for this name in the program (plugins/auth/dialog.c,
/// auth_dialog_init()), which has to export it.
extern "C" char* mysql_authentication_dialog_ask(MYSQL*, int, const char* prompt, char* buffer,
                                                 int size) {
  const auto answer = sluice::test::current ? sluice::test::current->answer(prompt) : std::string();
  const auto length = answer.copy(buffer, static_cast<std::size_t>(size) - 1);
  buffer[length] = '\0';
  return buffer;
}
