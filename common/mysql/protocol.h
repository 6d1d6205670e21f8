// Numbers of the client/server protocol. Sources: MySQL source documentation, "Client/Server
// Protocol"; MariaDB documentation, "Clients & utilities: Server client protocol".
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::mysql {

/// Length (3 bytes) and sequence number (1 byte) in front of every packet.
inline constexpr std::size_t kHeaderSize = 4;
/// A payload of this length is continued by the next packet.
inline constexpr uint32_t kMaxPayload = 0xFFFFFF;
inline constexpr std::size_t kScrambleSize = 20;

/// Capability flags. The upper half is MariaDB's own, sent in the filler of the greeting.
enum Capability : uint64_t {
  kLongPassword = 1ULL << 0,  ///< MariaDB calls it CLIENT_MYSQL: clear means "MariaDB"
  kConnectWithDb = 1ULL << 3,
  kCompress = 1ULL << 5,
  kProtocol41 = 1ULL << 9,
  kInteractive = 1ULL << 10,  ///< the server waits `interactive_timeout` for commands
  kSsl = 1ULL << 11,
  kSecureConnection = 1ULL << 15,
  kMultiStatements = 1ULL << 16,
  kPluginAuth = 1ULL << 19,
  kConnectAttrs = 1ULL << 20,
  kPluginAuthLenenc = 1ULL << 21,
  kSessionTrack = 1ULL << 23,
  kDeprecateEof = 1ULL << 24,
  kOptionalResultsetMetadata = 1ULL << 25,
  kZstd = 1ULL << 26,
  kQueryAttributes = 1ULL << 27,  ///< MySQL's: parameters stand in front of a command's text
  kMultiFactor = 1ULL << 28,      ///< MySQL's: the server may ask for a further factor
  kMariadbCacheMetadata = 1ULL << 36,
};

/// Server status flags of OK and EOF packets.
enum Status : uint16_t {
  kInTransaction = 0x0001,
  kAutocommit = 0x0002,
  kMoreResults = 0x0008,
  kCursorExists = 0x0040,
  kLastRowSent = 0x0080,
  kSessionStateChanged = 0x4000,
};

enum class Command : uint8_t {
  quit = 0x01,
  init_db = 0x02,
  query = 0x03,
  field_list = 0x04,
  statistics = 0x09,
  process_info = 0x0A,
  process_kill = 0x0C,
  ping = 0x0E,
  change_user = 0x11,
  binlog_dump = 0x12,
  table_dump = 0x13,
  stmt_prepare = 0x16,
  stmt_execute = 0x17,
  stmt_send_long_data = 0x18,
  stmt_close = 0x19,
  stmt_reset = 0x1A,
  set_option = 0x1B,
  stmt_fetch = 0x1C,
  binlog_dump_gtid = 0x1E,
  reset_connection = 0x1F,
  stmt_bulk_execute = 0xFA,
};

/// Error numbers that sluice itself sends, with the servers' own meaning (errmsg-utf8.txt). Never
/// one of 2000 to 2999: those are the client libraries' own, and MariaDB's takes an ERR packet with
/// one for malformed (2027), so that its text is lost.
enum Errno : uint16_t {
  kTooManyConnections = 1040,       // 08004
  kHandshakeError = 1043,           // 08S01
  kAccessDenied = 1045,             // 28000
  kHostNotAllowed = 1130,           // HY000
  kAccessDeniedNoPassword = 1698,   // 28000
  kSecureTransportRequired = 3159,  // HY000
  kServerShutdown = 1053,           // 08S01
  kConnectionKilled = 1927,         // 70100
  kIdleTooLong = 4031,              // HY000; MySQL's ER_CLIENT_INTERACTION_TIMEOUT
  kAccountLocked = 4151,            // HY000; MariaDB's
  kAccountLockedMysql = 3118,       // HY000
  kPasswordExpired = 1862,          // HY000; ER_MUST_CHANGE_PASSWORD_LOGIN
  kNetReadInterrupted = 1159,       // 08S01
  kMalformedPacket = 1835,          // HY000
  kUnknownError = 1105,             // HY000
  kCantConnect = 1429,              // 08S01; ER_CONNECT_TO_FOREIGN_DATA_SOURCE: no server behind us
};

}  // namespace sluice::mysql
