#include "worker/sql/words.h"

#include <array>

#include "worker/sql/characters.h"

namespace sluice::sql {
namespace {

struct Group {
  std::string_view words;
  Call call;
  bool on_mariadb = true;
  bool on_mysql = true;
};

// A function that a server doesn't have may be somebody's stored function there. So functions are
// listed only where the oldest releases we know of (MariaDB 10.4, MySQL 8.0.11) have them and no
// newer one lost them (MySQL 9 has no MD5). MariaDB has POINT and the like only for the right
// number of arguments, and JSON_TABLE only behind FROM. tests/e2e/sql_functions_test.cc asks
// servers whether they are built in.
constexpr Group kGroups[] = {
    {"ABS ACOS ADDTIME AES_DECRYPT AES_ENCRYPT ASCII ASIN ATAN ATAN2 BIN BIT_COUNT BIT_LENGTH CEIL "
     "CEILING CHARACTER_LENGTH CHARSET CHAR_LENGTH COALESCE COERCIBILITY COLLATION COMPRESS CONCAT "
     "CONCAT_WS CONV CONVERT CONVERT_TZ COS COT CRC32 CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP "
     "CURRENT_USER DATABASE DATE DATEDIFF DATE_FORMAT DAY DAYNAME DAYOFMONTH DAYOFWEEK DAYOFYEAR "
     "DEGREES ELT EXP EXPORT_SET EXTRACTVALUE FIELD FIND_IN_SET FLOOR FORMAT FROM_BASE64 FROM_DAYS "
     "FROM_UNIXTIME GET_FORMAT GREATEST HEX HOUR IFNULL INET6_ATON INET6_NTOA INET_ATON INET_NTOA "
     "INSTR ISNULL IS_IPV4 IS_IPV4_COMPAT IS_IPV4_MAPPED IS_IPV6 LAST_DAY LCASE LEAST LEFT LENGTH "
     "LN LOCALTIME LOCALTIMESTAMP LOCATE LOG LOG10 LOG2 LOWER LPAD LTRIM MAKEDATE MAKETIME "
     "MAKE_SET "
     "MICROSECOND MINUTE MOD MONTH MONTHNAME NAME_CONST NULLIF OCT OCTET_LENGTH ORD PERIOD_ADD "
     "PERIOD_DIFF PI POW POWER QUARTER QUOTE RADIANS RAND REGEXP_INSTR REGEXP_REPLACE "
     "REGEXP_SUBSTR "
     "REPEAT REVERSE RIGHT ROUND RPAD RTRIM SCHEMA SECOND SEC_TO_TIME SHA2 SIGN SIN SLEEP "
     "SOUNDEX SPACE SQRT STRCMP STR_TO_DATE SUBSTRING_INDEX SUBTIME TAN TIME TIMEDIFF TIMESTAMP "
     "TIMESTAMPADD TIMESTAMPDIFF TIME_FORMAT TIME_TO_SEC TO_BASE64 TO_DAYS TO_SECONDS TRUNCATE "
     "UCASE "
     "UNCOMPRESS UNCOMPRESSED_LENGTH UNHEX UNIX_TIMESTAMP UPDATEXML UPPER USER UTC_DATE UTC_TIME "
     "UTC_TIMESTAMP UUID WEEK WEEKDAY WEEKOFYEAR WEIGHT_STRING YEAR YEARWEEK",
     Call::Pure},
    {"JSON_ARRAY JSON_ARRAY_APPEND JSON_ARRAY_INSERT JSON_CONTAINS JSON_CONTAINS_PATH JSON_DEPTH "
     "JSON_EXTRACT JSON_INSERT JSON_KEYS JSON_LENGTH JSON_MERGE_PATCH JSON_MERGE_PRESERVE "
     "JSON_OBJECT JSON_QUOTE JSON_REMOVE JSON_REPLACE JSON_SEARCH JSON_SET JSON_TYPE JSON_UNQUOTE "
     "JSON_VALID",
     Call::Pure},
    {"ST_AREA ST_ASBINARY ST_ASGEOJSON ST_ASTEXT ST_ASWKB ST_ASWKT ST_BUFFER ST_CENTROID "
     "ST_CONTAINS ST_CONVEXHULL ST_CROSSES ST_DIFFERENCE ST_DIMENSION ST_DISJOINT ST_DISTANCE "
     "ST_ENDPOINT ST_ENVELOPE ST_EQUALS ST_EXTERIORRING ST_GEOMETRYN ST_GEOMETRYTYPE "
     "ST_GEOMFROMGEOJSON ST_GEOMFROMTEXT ST_GEOMFROMWKB ST_INTERIORRINGN ST_INTERSECTION "
     "ST_INTERSECTS ST_ISCLOSED ST_ISEMPTY ST_ISSIMPLE ST_LENGTH ST_LINEFROMTEXT ST_NUMGEOMETRIES "
     "ST_NUMINTERIORRINGS ST_NUMPOINTS ST_OVERLAPS ST_POINTFROMTEXT ST_POINTN ST_POLYFROMTEXT "
     "ST_SRID ST_STARTPOINT ST_SYMDIFFERENCE ST_TOUCHES ST_UNION ST_WITHIN ST_X ST_Y "
     "MBRCONTAINS "
     "MBRDISJOINT MBRINTERSECTS MBROVERLAPS MBRTOUCHES MBRWITHIN",
     Call::Pure},
    {"CHR COLUMN_ADD COLUMN_CHECK COLUMN_CREATE COLUMN_DELETE COLUMN_EXISTS COLUMN_GET COLUMN_JSON "
     "COLUMN_LIST DECODE_ORACLE ENCODE JSON_COMPACT JSON_DETAILED JSON_EXISTS JSON_LOOSE "
     "JSON_MERGE "
     "JSON_QUERY JSON_VALUE LENGTHB MD5 NVL NVL2 OLD_PASSWORD PASSWORD SHA SHA1",
     Call::Pure, true, false},
    {"ANY_VALUE BIN_TO_UUID GROUPING IS_UUID JSON_PRETTY JSON_STORAGE_FREE JSON_STORAGE_SIZE "
     "RANDOM_BYTES REGEXP_LIKE ST_DISTANCE_SPHERE ST_GEOHASH ST_ISVALID ST_LATFROMGEOHASH "
     "ST_LONGFROMGEOHASH ST_MAKEENVELOPE ST_POINTFROMGEOHASH ST_SIMPLIFY ST_VALIDATE UUID_TO_BIN "
     "POINT LINESTRING POLYGON MULTIPOINT "
     "MULTILINESTRING MULTIPOLYGON GEOMETRYCOLLECTION JSON_TABLE",
     Call::Pure, false, true},
    {"ADDDATE BIT_AND BIT_OR BIT_XOR CAST COUNT CURDATE CURTIME DATE_ADD DATE_SUB EXTRACT "
     "GROUP_CONCAT MAX MID MIN NOW POSITION SESSION_USER STD STDDEV STDDEV_POP STDDEV_SAMP SUBDATE "
     "SUBSTR SUBSTRING SUM SYSDATE SYSTEM_USER TRIM VARIANCE VAR_POP VAR_SAMP AVG CUME_DIST "
     "DENSE_RANK FIRST_VALUE JSON_ARRAYAGG JSON_OBJECTAGG LAG LAST_VALUE LEAD NTH_VALUE "
     "NTILE PERCENT_RANK RANK ROW_NUMBER",
     Call::Adjacent},
    {"MEDIAN PERCENTILE_CONT PERCENTILE_DISC", Call::Adjacent, true, false},

    {"LAST_INSERT_ID", Call::InsertId},
    {"FOUND_ROWS ROW_COUNT", Call::Diagnostics},
    {"GET_LOCK", Call::TakesNamedLock},
    {"RELEASE_LOCK RELEASE_ALL_LOCKS", Call::ReleasesNamedLock},
    {"IS_FREE_LOCK IS_USED_LOCK", Call::AsksNamedLock},
    {"LASTVAL SETVAL", Call::Sequence},
    {"BENCHMARK BINLOG_GTID_POS CONNECTION_ID CURRENT_ROLE GTID_SUBSET GTID_SUBTRACT LOAD_FILE "
     "MASTER_GTID_WAIT MASTER_POS_WAIT SOURCE_POS_WAIT UUID_SHORT VERSION WSREP_LAST_SEEN_GTID "
     "WSREP_SYNC_WAIT_UPTO_GTID WSREP_LAST_WRITTEN_GTID",
     Call::Server},

    // Reserved words before parentheses of other kinds, and types.
    {"ALL AND ANY AS BETWEEN BINARY BY CHAR CHARACTER CROSS DATETIME DEC DECIMAL DISTINCT "
     "DISTINCTROW DIV DOUBLE ELSE EXCEPT EXISTS FLOAT FROM GROUP HAVING IN INDEX INNER INT "
     "INTEGER INTERSECT INTERVAL IS JOIN KEY LIKE LIMIT MATCH NOT NUMERIC ON OR ORDER OVER "
     "PARTITION REAL REGEXP RLIKE ROW SOME STRAIGHT_JOIN THEN UNION USING VARBINARY VARCHAR WHEN "
     "WHERE XOR",
     Call::None},
    {"NCHAR", Call::None},
    {"COLUMNS ESCAPE LATERAL", Call::None, false, true},
    {"AGAINST", Call::Operator},
};

struct Keyword {
  std::string_view text;
  Word word;
  Call call = Call::Unknown;
};

constexpr Keyword kKeywords[] = {
    {"ALTER", Word::Alter},
    {"ANALYZE", Word::Analyze},
    {"BACKUP", Word::Backup},
    {"BEGIN", Word::Begin},
    {"BINLOG", Word::Administration},
    {"CACHE", Word::Administration},
    {"CALL", Word::Call},
    {"CASE", Word::Case, Call::None},
    {"CHANGE", Word::Administration},
    {"CHECK", Word::Administration},
    {"CHECKSUM", Word::Administration},
    {"CLONE", Word::Administration},
    {"COMMIT", Word::Commit},
    {"CREATE", Word::Create},
    {"CURRVAL", Word::Nextval, Call::Unknown},
    {"DEALLOCATE", Word::Deallocate},
    {"DECLARE", Word::Declare},
    {"DELETE", Word::Delete},
    {"DESC", Word::Describe},
    {"DESCRIBE", Word::Describe},
    {"DO", Word::Do},
    {"DROP", Word::Drop},
    {"END", Word::End},
    {"EXECUTE", Word::Execute},
    {"EXPLAIN", Word::Explain},
    {"FLUSH", Word::Flush},
    {"FOR", Word::For},
    {"GET", Word::Get},
    {"GRANT", Word::Grant},
    {"HANDLER", Word::Handler},
    {"HELP", Word::Help},
    {"IF", Word::If, Call::Pure},
    {"IMPORT", Word::Administration},
    {"INFORMATION_SCHEMA", Word::ServerSchema},
    {"INSERT", Word::Insert, Call::Pure},
    {"INSTALL", Word::Administration},
    {"INTO", Word::Into},
    {"KILL", Word::Kill},
    {"LOAD", Word::Load},
    {"LOCK", Word::Lock},
    {"LOOP", Word::Loop},
    {"MYSQL", Word::ServerSchema},
    {"NEXT", Word::Next},
    {"NEXTVAL", Word::Nextval, Call::Sequence},
    {"OPTIMIZE", Word::Administration},
    {"PERFORMANCE_SCHEMA", Word::ServerSchema},
    {"PREPARE", Word::Prepare},
    {"PREVIOUS", Word::Next},
    {"PROCEDURE", Word::Procedure},
    {"PURGE", Word::Administration},
    {"RECURSIVE", Word::Recursive},
    {"RELEASE", Word::Release},
    {"RENAME", Word::Rename},
    {"REPAIR", Word::Administration},
    {"REPEAT", Word::Repeat, Call::Pure},
    {"REPLACE", Word::Replace, Call::Pure},
    {"RESET", Word::Administration},
    {"RESIGNAL", Word::Resignal},
    {"RESTART", Word::Administration},
    {"REVOKE", Word::Revoke},
    {"ROLLBACK", Word::Rollback},
    {"SAVEPOINT", Word::Savepoint},
    {"SELECT", Word::Select, Call::None},
    {"SET", Word::Set, Call::None},
    {"SHARE", Word::Share},
    {"SHOW", Word::Show},
    {"SHUTDOWN", Word::Administration},
    {"SIGNAL", Word::Signal},
    {"SQL_CALC_FOUND_ROWS", Word::SqlCalcFoundRows, Call::None},
    {"START", Word::Start},
    {"STOP", Word::Administration},
    {"SYS", Word::ServerSchema},
    {"TABLE", Word::Table},
    {"TRUNCATE", Word::Truncate, Call::Pure},
    {"UNINSTALL", Word::Administration},
    {"UNLOCK", Word::Unlock},
    {"UPDATE", Word::Update},
    {"USE", Word::Use},
    {"VALUE", Word::Value},
    {"VALUES", Word::Values, Call::None},
    {"WHILE", Word::While},
    {"WITH", Word::With},
    {"XA", Word::Xa},
};

constexpr std::size_t kMost = 640;
constexpr std::size_t kSlots = 2048;  ///< a power of two

constexpr std::size_t slot_of(uint64_t hash) {
  return hash >> 53;
}

struct Table {
  std::array<WordEntry, kMost> entries{};
  std::array<uint64_t, kMost> firsts{};  ///< of each entry, the first bytes folded
  std::size_t size = 0;
  std::array<uint16_t, kSlots> slots{};  ///< index in `entries` plus 1; 0 is free

  constexpr std::size_t find(std::string_view text) const {
    for (std::size_t slot = slot_of(fold(text).hash); slots[slot] != 0; slot = (slot + 1) % kSlots)
      if (entries[slots[slot] - 1u].text == text) return slots[slot] - 1u;
    return kMost;
  }
  constexpr void add(const WordEntry& entry) {
    if (find(entry.text) != kMost) return;  // the keyword of that name came first
    std::size_t slot = slot_of(fold(entry.text).hash);
    while (slots[slot] != 0) slot = (slot + 1) % kSlots;
    firsts[size] = fold8(entry.text.data(), entry.text.size());
    entries[size++] = entry;
    slots[slot] = static_cast<uint16_t>(size);
  }
};

constexpr Table make_table() {
  Table table;
  for (const auto& [text, word, call] : kKeywords) table.add({text, word, call, true, true});
  for (const auto& group : kGroups) {
    for (std::size_t from = 0; from < group.words.size();) {
      auto to = group.words.find(' ', from);
      if (to == std::string_view::npos) to = group.words.size();
      table.add({group.words.substr(from, to - from), Word::Other, group.call, group.on_mariadb,
                 group.on_mysql});
      from = to + 1;
    }
  }
  return table;
}
constexpr Table kTable = make_table();

/// Whether the words are the same behind their first eight bytes.
bool same_tail(std::string_view word, std::string_view upper) {
  for (std::size_t at = 8; at < word.size(); at += 8)
    if (fold8(word.data() + at, word.size() - at) != fold8(upper.data() + at, upper.size() - at))
      return false;
  return true;
}

}  // namespace

const WordEntry* find_word(std::string_view word, const FoldedWord& folded) {
  for (auto slot = slot_of(folded.hash); kTable.slots[slot] != 0; slot = (slot + 1) % kSlots) {
    const std::size_t index = kTable.slots[slot] - 1u;
    const WordEntry& entry = kTable.entries[index];
    if (kTable.firsts[index] == folded.first && entry.text.size() == word.size() &&
        same_tail(word, entry.text))
      return &entry;
  }
  return nullptr;
}

const WordEntry* find_word(std::string_view word) {
  return find_word(word, fold(word));
}

std::span<const WordEntry> all_words() {
  return std::span(kTable.entries).first(kTable.size);
}

}  // namespace sluice::sql
