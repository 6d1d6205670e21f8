// A password or key in memory: wiped when it goes, never formatted.
#pragma once

#include <string.h>

#include <string>
#include <string_view>

#include "common/base/bytes.h"

namespace sluice {

/// Owns secret text. Has no formatter on purpose: it can't get into a log or a message for people.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : text_(other.text_) { other.wipe(); }
  Secret& operator=(const Secret& other) {
    if (this != &other) {
      wipe();
      text_ = other.text_;
    }
    return *this;
  }
  Secret& operator=(Secret&& other) noexcept {
    *this = static_cast<const Secret&>(other);
    if (this != &other) other.wipe();
    return *this;
  }
  ~Secret() { wipe(); }

  /// The clear text, for the one place that needs it.
  const std::string& reveal() const { return text_; }
  std::string& reveal() { return text_; }
  bool empty() const { return text_.empty(); }
  bool operator==(const Secret&) const = default;

 private:
  void wipe() noexcept {
    if (!text_.empty()) ::explicit_bzero(text_.data(), text_.size());
    text_.clear();
  }
  std::string text_;
};

/// Overwrites bytes that held a secret, and empties them.
inline void wipe(Bytes& bytes) noexcept {
  if (!bytes.empty()) ::explicit_bzero(bytes.data(), bytes.size());
  bytes.clear();
}

}  // namespace sluice
