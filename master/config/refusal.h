// Why a text was not taken, for parsers that do not know where in which file it stands.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace sluice::config {

/// What is wrong, and what to write or to do instead (may be empty).
struct Refusal {
  std::string text, hint;
};
template <class T>
using Taken = tl::expected<T, Refusal>;

inline tl::unexpected<Refusal> refuse(std::string text, std::string hint = {}) {
  return tl::unexpected(Refusal{std::move(text), std::move(hint)});
}

}  // namespace sluice::config
