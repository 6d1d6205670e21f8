#include "worker/sql/charset.h"

namespace sluice::sql {
namespace {

struct Named {
  std::string_view name;
  Charset charset;
};
// What is not here is of single bytes, or (euckr, gb2312, ujis, eucjpms) of pairs in which no byte
// means anything to the lexer but in words outside of quotes, where SingleByte makes it a doubt.
constexpr Named kNamed[] = {
    {"utf8mb4", Charset::Utf8},  {"utf8mb3", Charset::Utf8},    {"utf8", Charset::Utf8},
    {"gbk", Charset::Gbk},       {"gb18030", Charset::Gb18030}, {"big5", Charset::Big5},
    {"sjis", Charset::Sjis},     {"cp932", Charset::Sjis},      {"swe7", Charset::Unknown},
    {"ucs2", Charset::Unknown},  {"utf16", Charset::Unknown},   {"utf16le", Charset::Unknown},
    {"utf32", Charset::Unknown}, {"", Charset::Unknown},
};

struct Range {
  uint16_t from, to;
  Charset charset;
};
constexpr Range kRanges[] = {
    {0, 0, Charset::Unknown},     {1, 1, Charset::Big5},      {10, 10, Charset::Unknown},
    {13, 13, Charset::Sjis},      {28, 28, Charset::Gbk},     {33, 33, Charset::Utf8},
    {35, 35, Charset::Unknown},   {45, 46, Charset::Utf8},    {54, 56, Charset::Unknown},
    {60, 62, Charset::Unknown},   {76, 76, Charset::Utf8},    {82, 82, Charset::Unknown},
    {83, 83, Charset::Utf8},      {84, 84, Charset::Big5},    {87, 87, Charset::Gbk},
    {88, 88, Charset::Sjis},      {90, 90, Charset::Unknown}, {95, 96, Charset::Sjis},
    {101, 183, Charset::Unknown}, {192, 215, Charset::Utf8},  {223, 247, Charset::Utf8},
    {248, 250, Charset::Gb18030}, {255, 323, Charset::Utf8},  {576, 639, Charset::Utf8},
    {640, 767, Charset::Unknown},
};

constexpr uint16_t kNopad = 1024;    ///< MariaDB: added to a collation for its variant
constexpr uint16_t kUca1400 = 2048;  ///< MariaDB: from here on, 256 for each character set:
constexpr uint16_t kUca1400Mb4 = kUca1400 + 256;
constexpr uint16_t kUca1400Others = kUca1400Mb4 + 256;

}  // namespace

Charset charset_of(std::string_view name) {
  for (const auto& [known, charset] : kNamed)
    if (known == name) return charset;
  return Charset::SingleByte;
}

Charset charset_of_collation(uint16_t id) {
  if (id >= kUca1400) return id < kUca1400Others ? Charset::Utf8 : Charset::Unknown;
  id &= kNopad - 1;
  for (const auto& range : kRanges)
    if (id >= range.from && id <= range.to) return range.charset;
  return Charset::SingleByte;
}

}  // namespace sluice::sql
