// Plain structs to bytes and back. A struct lists its members with wire tags in one fields() line:
//
//   static auto fields(auto& m) { return std::tuple(tag<1>(m.name), tag<2>(m.port)); }
//
// On the wire a struct is a sequence of (tag, length, value), all lengths varints. An unknown tag
// is skipped and a missing one keeps the member's default, so neighbouring releases understand each
// other; a tag is never used again for something else. Decoding allocates only what is really
// there, recurses only as deep as the types do, and refuses enumerators that do not exist.
#pragma once

#include <array>
#include <bit>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "common/base/bytes.h"
#include "common/base/enum_names.h"
#include "common/base/result.h"
#include "common/base/secret.h"

namespace sluice::ipc {

template <uint32_t Tag, class T>
struct Field {
  static constexpr uint32_t kTag = Tag;
  T& value;
};
template <uint32_t Tag, class T>
constexpr Field<Tag, T> tag(T& value) {
  return {value};
}

// Which types can travel.

template <class T>
concept Struct = requires(T& m) {
  T::fields(m);
};

template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
inline constexpr bool kIsBox = false;
template <class T>
inline constexpr bool kIsBox<std::unique_ptr<T>> =
    true;  // an optional that costs 8 bytes when empty
template <class T>
inline constexpr bool kIsByteArray = false;
template <std::size_t N>
inline constexpr bool kIsByteArray<std::array<std::byte, N>> = true;

template <class T>
constexpr bool travels();

namespace detail {
struct Anything {
  template <class T>
  operator T() const;  // never defined: counts members only
};
template <class T, class... A>
constexpr std::size_t arity() {
  if constexpr (requires { T{A{}..., Anything{}}; })
    return arity<T, A..., Anything>();
  else
    return sizeof...(A);
}
/// A struct that has the members of another one names that: `using Base = Other;`.
template <class T>
constexpr std::size_t members() {
  if constexpr (requires { typename T::Base; })
    return arity<T>() - 1 + members<typename T::Base>();
  else
    return arity<T>();
}
template <class Tuple, std::size_t... I>
constexpr bool fields_travel(std::index_sequence<I...>) {
  return (travels<std::remove_reference_t<
              decltype(std::declval<std::tuple_element_t<I, Tuple>>().value)>>() &&
          ...);
}
template <class T>
using FieldsOf = decltype(T::fields(std::declval<T&>()));
}  // namespace detail

/// Every member of the aggregate has a wire tag and is of a type that can cross processes.
template <class T>
constexpr bool complete() {
  using Fields = detail::FieldsOf<T>;
  constexpr std::size_t n = std::tuple_size_v<Fields>;
  return detail::members<T>() == n && detail::fields_travel<Fields>(std::make_index_sequence<n>());
}

template <class T>
constexpr bool travels() {
  if constexpr (std::is_integral_v<T> || std::is_enum_v<T> || std::is_floating_point_v<T> ||
                std::is_same_v<T, std::string> || std::is_same_v<T, Secret> ||
                std::is_same_v<T, std::byte> || kIsByteArray<T>)
    return true;
  else if constexpr (kIsVector<T> || kIsOptional<T>)
    return travels<typename T::value_type>();
  else if constexpr (kIsBox<T>)
    return travels<typename T::element_type>();
  else if constexpr (Struct<T>)
    return complete<T>();
  else
    return false;
}

// Encoding.

inline void put_varint(Bytes& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::byte>(value | 0x80));
  out.push_back(static_cast<std::byte>(value));
}

template <class T>
void encode_value(const T& value, Bytes& out);

/// A value behind its length. The length is put in front afterwards: one buffer, no temporaries.
template <class T>
void encode_sized(const T& value, Bytes& out) {
  const auto start = out.size();
  encode_value(value, out);
  std::array<std::byte, 10> prefix;
  std::size_t n = 0;
  uint64_t size = out.size() - start;
  for (; size >= 0x80; size >>= 7) prefix[n++] = static_cast<std::byte>(size | 0x80);
  prefix[n++] = static_cast<std::byte>(size);
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(start), prefix.begin(), prefix.begin() + n);
}

template <class T>
bool is_absent(const T& value) {
  if constexpr (kIsOptional<T> || kIsBox<T>)
    return !value;
  else
    return false;
}

template <class T>
void encode_value(const T& value, Bytes& out) {
  if constexpr (std::is_enum_v<T> && !std::is_same_v<T, std::byte>) {
    put_varint(out, static_cast<uint64_t>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    put_varint(out, std::bit_cast<uint64_t>(static_cast<double>(value)));
  } else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    const auto wide = static_cast<int64_t>(value);  // zigzag: small negatives stay short
    put_varint(out, (static_cast<uint64_t>(wide) << 1) ^ static_cast<uint64_t>(wide >> 63));
  } else if constexpr (std::is_integral_v<T>) {
    put_varint(out, value);
  } else if constexpr (std::is_same_v<T, std::string>) {
    ByteWriter(out).text(value);
  } else if constexpr (std::is_same_v<T, Secret>) {
    ByteWriter(out).text(value.reveal());
  } else if constexpr (std::is_same_v<T, Bytes> || kIsByteArray<T>) {
    ByteWriter(out).raw(value);
  } else if constexpr (kIsVector<T>) {
    for (const auto& element : value) encode_sized(element, out);
  } else if constexpr (kIsOptional<T> || kIsBox<T>) {
    if (value) encode_value(*value, out);
  } else {
    static_assert(complete<T>(), "a member has no wire tag, or is of a type that can't travel");
    std::apply(
        [&out](const auto&... field) {
          [[maybe_unused]] const auto one = [&out](const auto& f) {
            if (is_absent(f.value)) return;
            put_varint(out, f.kTag);
            encode_sized(f.value, out);
          };
          (one(field), ...);
        },
        T::fields(value));
  }
}

/// The bytes of a struct.
template <Struct T>
Bytes encode(const T& value) {
  Bytes out;
  encode_value(value, out);
  return out;
}

// Decoding.

Parsed<uint64_t> get_varint(ByteReader& in, std::string_view field);
Parsed<ByteSpan> get_sized(ByteReader& in, std::string_view field);

template <class T>
Parsed<> decode_value(ByteSpan raw, T& out);

template <class T>
Parsed<> decode_integer(ByteSpan raw, T& out) {
  ByteReader in(raw);
  const auto value = get_varint(in, "integer");
  if (!value) return tl::unexpected(value.error());
  if (!in.done()) return in.error(ParseErrc::bad_value, "integer");
  if constexpr (std::is_floating_point_v<T>) {
    out = static_cast<T>(std::bit_cast<double>(*value));
    return {};
  } else if constexpr (std::is_enum_v<T>) {
    constexpr std::size_t count = kEnumNames<T>.size();
    static_assert(count > 0, "an enum that travels needs names: they are its range too");
    if (*value >= count) return in.error(ParseErrc::bad_value, "enum");
    out = static_cast<T>(*value);
    return {};
  } else {
    if constexpr (std::is_signed_v<T>) {
      const auto wide = static_cast<int64_t>((*value >> 1) ^ (~(*value & 1) + 1));
      out = static_cast<T>(wide);
      if (static_cast<int64_t>(out) != wide) return in.error(ParseErrc::bad_value, "integer");
    } else {
      out = static_cast<T>(*value);
      if (static_cast<uint64_t>(out) != *value) return in.error(ParseErrc::bad_value, "integer");
    }
    return {};
  }
}

template <class Fields>
Parsed<> decode_field(Fields& fields, uint64_t wire_tag, ByteSpan raw) {
  Parsed<> result;
  std::apply(
      [&](auto&... field) {
        [[maybe_unused]] const auto one = [&](auto& f) {
          if (f.kTag != wire_tag) return false;
          result = decode_value(raw, f.value);
          return true;
        };
        (void)(one(field) || ...);  // an unknown tag is a newer neighbour's: skipped
      },
      fields);
  return result;
}

template <class T>
Parsed<> decode_value(ByteSpan raw, T& out) {
  if constexpr (std::is_integral_v<T> || std::is_floating_point_v<T> ||
                (std::is_enum_v<T> && !std::is_same_v<T, std::byte>)) {
    return decode_integer(raw, out);
  } else if constexpr (std::is_same_v<T, std::string>) {
    out.assign(as_text(raw));
  } else if constexpr (std::is_same_v<T, Secret>) {
    out = Secret(std::string(as_text(raw)));
  } else if constexpr (std::is_same_v<T, Bytes>) {
    out.assign(raw.begin(), raw.end());
  } else if constexpr (kIsByteArray<T>) {
    ByteReader in(raw);
    if (raw.size() != out.size()) return in.error(ParseErrc::bad_value, "byte array");
    std::copy(raw.begin(), raw.end(), out.begin());
  } else if constexpr (kIsVector<T>) {
    out.clear();
    for (ByteReader in(raw); !in.done();) {
      const auto element = SLUICE_TRY(get_sized(in, "element"));
      SLUICE_TRY(decode_value(element, out.emplace_back()));
    }
  } else if constexpr (kIsOptional<T>) {
    return decode_value(raw, out.emplace());
  } else if constexpr (kIsBox<T>) {
    out = std::make_unique<typename T::element_type>();
    return decode_value(raw, *out);
  } else {
    static_assert(complete<T>(), "a member has no wire tag, or is of a type that can't travel");
    auto fields = T::fields(out);
    for (ByteReader in(raw); !in.done();) {
      const auto wire_tag = SLUICE_TRY(get_varint(in, "tag"));
      const auto value = SLUICE_TRY(get_sized(in, "value"));
      SLUICE_TRY(decode_field(fields, wire_tag, value));
    }
  }
  return {};
}

/// A struct from its bytes. What it does not know is skipped; what is malformed is an error.
template <Struct T>
Parsed<T> decode(ByteSpan raw) {
  T out;
  SLUICE_TRY(decode_value(raw, out));
  return out;
}

}  // namespace sluice::ipc
