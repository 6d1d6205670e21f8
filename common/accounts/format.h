// How a table of accounts lies in memory: a header, then arrays of fixed-size records (rows,
// proofs, extras, host patterns, grant hosts), then all text, each string once. Both ends are of
// one machine, so numbers stand in its byte order. What writes it is encode.cc, what reads it
// table.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "common/base/bytes.h"

namespace sluice::accounts {

inline constexpr std::array<char, 8> kMagic = {'s', 'l', 'a', 'c', 'c', 't', 's', '\n'};
inline constexpr uint32_t kVersion = 3;  // another layout gets another number

struct Text {
  uint32_t offset = 0;  ///< from the start of the table
  uint32_t length = 0;
};

/// How many records of each kind there are.
struct Counts {
  uint32_t rows = 0;
  uint32_t proofs = 0;
  uint32_t extras = 0;
  uint32_t hosts = 0;
  uint32_t patterns = 0;  ///< of the hosts, those that stand first: all but is_plain() ones
  uint32_t grant_hosts = 0;
};

struct Header {
  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  uint8_t flavour = 0;
  uint8_t skip_name_resolve = 0;
  uint16_t unused = 0;
  uint64_t loaded_s = 0;
  Text source;  ///< the last text of the table
  Counts counts;
};

/// One row, in the order of Table::at().
struct RowRecord {
  Text user, host, problem;
  uint64_t specificity = 0;
  uint32_t first_proof = 0;
  uint32_t extra = 0;  ///< number of its ExtraRecord, counted from 1; 0: it has none
  uint16_t proofs = 0;
  uint8_t flags = 0;
  uint8_t tls = 0;
  uint32_t unused = 0;
};
struct ProofRecord {
  Text plugin, text;
};
/// What few rows have.
struct ExtraRecord {
  Text tls_cipher, tls_issuer, tls_subject, more_factors;
  uint64_t expires_s = 0;
};
/// A row of mysql.db and its like, sorted by user.
struct GrantHostRecord {
  Text user, host;
};
static_assert(sizeof(Header) == 56 && sizeof(RowRecord) == 48 && sizeof(ProofRecord) == 16 &&
              sizeof(ExtraRecord) == 40 && sizeof(GrantHostRecord) == 16 && sizeof(Text) == 8);

enum Flag : uint8_t { kLocked = 1, kRole = 2, kExpired = 4, kLeftOut = 8 };

/// Where each array begins. 32-bit counts of small records: can't wrap in 64 bits.
struct Layout {
  std::size_t rows, proofs, extras, hosts, grant_hosts, text;

  explicit constexpr Layout(const Counts& counts)
      : rows(sizeof(Header)),
        proofs(rows + counts.rows * sizeof(RowRecord)),
        extras(proofs + counts.proofs * sizeof(ProofRecord)),
        hosts(extras + counts.extras * sizeof(ExtraRecord)),
        grant_hosts(hosts + counts.hosts * sizeof(Text)),
        text(grant_hosts + counts.grant_hosts * sizeof(GrantHostRecord)) {}
};

/// The record at `offset`, wherever it is aligned; nothing if it is not wholly inside.
template <class T>
std::optional<T> record(ByteSpan bytes, std::size_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T out;
  std::memcpy(&out, bytes.data() + offset, sizeof(T));
  return out;
}

}  // namespace sluice::accounts
