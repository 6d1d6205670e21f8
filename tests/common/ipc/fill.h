// Puts a value of its own into every member of anything that can travel, so that a member which is
// lost or swapped on the way is noticed.
#pragma once

#include <string>
#include <type_traits>

#include "common/ipc/codec.h"

namespace sluice::ipc::test {

/// `n` counts the members; each gets something made from its number.
template <class T>
void fill(T& value, uint32_t& n) {
  ++n;
  if constexpr (std::is_same_v<T, bool>) {
    value = true;
  } else if constexpr (std::is_enum_v<T> && !std::is_same_v<T, std::byte>) {
    value = static_cast<T>(kEnumNames<T>.size() - 1);
  } else if constexpr (std::is_arithmetic_v<T>) {
    value = static_cast<T>(n % 100 + 1);
  } else if constexpr (std::is_same_v<T, std::string>) {
    value = "text " + std::to_string(n);
  } else if constexpr (std::is_same_v<T, Secret>) {
    value = Secret("secret " + std::to_string(n));
  } else if constexpr (std::is_same_v<T, Bytes>) {
    value.assign(n, static_cast<std::byte>(n));
  } else if constexpr (kIsByteArray<T>) {
    value.fill(static_cast<std::byte>(n));
  } else if constexpr (kIsVector<T>) {
    for (int i = 0; i < 2; ++i) fill(value.emplace_back(), n);
  } else if constexpr (kIsOptional<T>) {
    fill(value.emplace(), n);
  } else if constexpr (kIsBox<T>) {
    value = std::make_unique<typename T::element_type>();
    fill(*value, n);
  } else {
    std::apply([&n](auto... field) { (fill(field.value, n), ...); }, T::fields(value));
  }
}

template <class T>
T filled() {
  T value;
  uint32_t n = 0;
  fill(value, n);
  return value;
}

}  // namespace sluice::ipc::test
