// Names of enumerators for people and files: one table beside each enum.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace sluice {

/// Specialised beside an enum whose values are 0..N-1, in their order:
///   template <> inline constexpr auto kEnumNames<Role> = names("none", "primary", "replica");
template <class E>
inline constexpr auto kEnumNames = std::array<std::string_view, 0>{};

template <class... Text>
constexpr auto names(Text... text) {
  return std::array<std::string_view, sizeof...(Text)>{text...};
}

template <class E>
constexpr std::string_view enum_name(E value) {
  const auto index = static_cast<std::size_t>(value);
  return index < kEnumNames<E>.size() ? kEnumNames<E>[index] : "?";
}

template <class E>
constexpr std::optional<E> enum_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kEnumNames<E>.size(); ++i)
    if (kEnumNames<E>[i] == name) return static_cast<E>(i);
  return std::nullopt;
}

}  // namespace sluice
