#include "common/control/commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "common/base/closest.h"

namespace sluice::control {
namespace {

using Words = std::vector<std::string_view>;

Words split(std::string_view text, char separator) {
  Words out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find(separator, at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::string join(std::span<const std::string> words) {
  return fmt::format("{}", fmt::join(words, " "));
}

/// One argument of a usage.
struct Parameter {
  enum class Kind : uint8_t { value, choice, option };
  Kind kind;
  bool optional;
  std::string_view text;  ///< without the brackets
};

std::vector<Parameter> parameters(const Command& command) {
  std::vector<Parameter> out;
  for (std::string_view word : split(command.usage, ' ')) {
    const bool optional = word.starts_with('[');
    if (optional) word = word.substr(1, word.size() - 2);
    const auto kind = word.starts_with("--")        ? Parameter::Kind::option
                      : word.find('|') != word.npos ? Parameter::Kind::choice
                                                    : Parameter::Kind::value;
    out.push_back({kind, optional, word});
  }
  return out;
}

bool is_option_of(const Command& command, std::string_view word) {
  return std::ranges::any_of(parameters(command), [word](const Parameter& p) {
    return p.kind == Parameter::Kind::option && p.text == word;
  });
}

bool is_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// "3-17": the number of a worker and one of its sessions (worker/sessions_table.h).
bool is_session(std::string_view text) {
  const auto dash = text.find('-');
  return dash != text.npos && is_number(text.substr(0, dash)) && is_number(text.substr(dash + 1));
}

Result<> check_value(const Parameter& parameter, std::string_view value) {
  const auto wrong = [&](std::string_view expected) {
    return fail(Errc::bad_input, fmt::format("\"{}\" is not {}", value, expected));
  };
  if (parameter.kind == Parameter::Kind::choice) {
    const auto choices = split(parameter.text, '|');
    if (std::ranges::count(choices, value) > 0) return {};
    const auto near = closest(choices, value);
    return near.empty() ? wrong(fmt::format("one of {}", fmt::join(choices, ", ")))
                        : wrong(fmt::format("known; did you mean \"{}\"?", near));
  }
  if (parameter.text == "PID" && !is_number(value)) return wrong("a number");
  if (parameter.text == "ID" && !is_session(value)) return wrong("a session such as 3-17");
  if (parameter.text == "CLUSTER/NAME") {
    const auto slash = value.find('/');
    if (slash == value.npos || slash == 0 || slash + 1 == value.size() ||
        value.find('/', slash + 1) != value.npos)
      return wrong("a CLUSTER/NAME");
  }
  return {};
}

/// How many of `words` are the words of `command`; 0 if they are not all there, in front.
std::size_t words_matched(const Command& command, std::span<const std::string> words) {
  const auto own = split(command.words, ' ');
  return words.size() >= own.size() && std::equal(own.begin(), own.end(), words.begin())
             ? own.size()
             : 0;
}

/// Commands that go on where `words` end: "list" is the beginning of seven.
std::vector<const Command*> continuations(std::string_view words) {
  std::vector<const Command*> out;
  for (const Command& command : kCommands)
    if (command.words.starts_with(words) &&
        (words.empty() || command.words.size() == words.size() ||
         command.words[words.size()] == ' '))
      out.push_back(&command);
  return out;
}

/// The command that is spelt most like the front of `words`; null if none is near.
const Command* nearest(std::span<const std::string> words) {
  const Command* best = nullptr;
  std::size_t distance = 0;
  for (const Command& command : kCommands) {
    const auto count = std::min(split(command.words, ' ').size(), words.size());
    const auto typed = join(words.first(count));
    if (typed.size() > 2 * command.words.size()) continue;
    const auto d = edit_distance(typed, command.words);
    if (!is_slip(d, command.words.size()) || (best != nullptr && d >= distance)) continue;
    best = &command;
    distance = d;
  }
  return best;
}

tl::unexpected<Error> unknown_command(std::span<const std::string> words) {
  const auto begun = continuations(words.front());
  if (words.size() == 1 && !begun.empty()) {
    std::string text = fmt::format("\"{}\" is not a whole command; there is", words.front());
    for (const Command* command : begun) text += "\n  " + usage_line(*command);
    return fail(Errc::bad_input, std::move(text));
  }
  const auto typed = join(words.first(std::min<std::size_t>(words.size(), 2)));
  if (const Command* near = nearest(words))
    return fail(Errc::bad_input,
                fmt::format("unknown command \"{}\"; did you mean \"{}\"?", typed, near->words));
  return fail(Errc::bad_input,
              fmt::format("unknown command \"{}\"; \"help\" lists the commands", typed));
}

}  // namespace

std::string usage_line(const Command& command) {
  return fmt::format("{}{}{}", command.words, command.usage.empty() ? "" : " ", command.usage);
}

Result<> check_arguments(const Command& command, std::span<const std::string> arguments) {
  auto expected = parameters(command);
  std::erase_if(expected, [](const Parameter& p) { return p.kind == Parameter::Kind::option; });
  auto next = expected.begin();
  for (const std::string& argument : arguments) {
    if (is_option_of(command, argument)) continue;
    if (next == expected.end())
      return fail(Errc::bad_input, fmt::format("unexpected argument \"{}\"", argument));
    SLUICE_TRY(check_value(*next++, argument));
  }
  if (next != expected.end() && !next->optional)
    return fail(Errc::bad_input, fmt::format("{} is missing", next->text));
  return {};
}

Result<Invocation> understand(std::span<const std::string> given) {
  std::vector<std::string> words(given.begin(), given.end());
  const auto marker = std::ranges::find(words, "--");
  const auto options_end = static_cast<std::size_t>(marker - words.begin());
  if (marker != words.end()) words.erase(marker);
  if (words.empty()) return fail(Errc::bad_input, "no command");

  Invocation out;
  std::size_t count = 0;
  for (const Command& command : kCommands)
    if (const auto n = words_matched(command, words); n > count) out.command = &command, count = n;
  if (out.command == nullptr) return unknown_command(words);

  const auto refuse = [&out](std::string_view why) {
    return fail(Errc::bad_input, fmt::format("{}: {}\nusage: {}", out.command->words, why,
                                             usage_line(*out.command)));
  };
  for (std::size_t i = count; i < options_end && i < words.size(); ++i)
    if (words[i].size() > 1 && words[i].starts_with('-') && !is_option_of(*out.command, words[i]))
      return refuse(fmt::format("unknown option \"{}\"", words[i]));
  out.arguments.assign(words.begin() + static_cast<std::ptrdiff_t>(count), words.end());
  if (out.command->words == "help" && !out.arguments.empty())
    out.arguments = {join(out.arguments)};  // `help list servers` asks for one thing
  if (const auto ok = check_arguments(*out.command, out.arguments); !ok)
    return refuse(ok.error().message);
  return out;
}

Result<std::vector<std::string>> split_words(std::string_view line) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  std::vector<std::string> words;
  std::optional<std::string> word;  // set while inside of one; '' is a word too
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote == 0 && kSpace.find(c) != kSpace.npos) {
      if (word) words.push_back(*std::exchange(word, std::nullopt));
      continue;
    }
    if (!word) word.emplace();
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == '\\' && quote != '\'' && i + 1 < line.size()) {
      word->push_back(line[++i]);
    } else {
      word->push_back(c);
    }
  }
  if (quote != 0) return fail(Errc::bad_input, fmt::format("a {} is not closed", quote));
  if (word) words.push_back(std::move(*word));
  return words;
}

std::vector<std::string> completions(std::span<const std::string> before,
                                     std::string_view partial) {
  std::vector<std::string> out;
  const auto offer = [&](std::string_view word) {
    if (word.starts_with(partial) && std::ranges::count(out, word) == 0) out.emplace_back(word);
  };
  for (const Command& command : kCommands) {
    const auto own = split(command.words, ' ');
    const auto shared = std::min(own.size(), before.size());
    if (!std::equal(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(shared), before.begin()))
      continue;
    if (before.size() < own.size()) {
      offer(own[before.size()]);
      continue;
    }
    std::size_t position = before.size() - own.size();
    for (const Parameter& parameter : parameters(command)) {
      if (parameter.kind == Parameter::Kind::option) {
        offer(parameter.text);
      } else if (position-- == 0) {
        if (parameter.kind == Parameter::Kind::choice)
          for (const auto choice : split(parameter.text, '|')) offer(choice);
        break;
      }
    }
  }
  return out;
}

std::string help_text(std::string_view words) {
  auto shown = continuations(words);
  if (shown.empty()) shown = continuations({});
  std::size_t width = 0;
  for (const Command* command : shown) {
    const auto length = usage_line(*command).size();
    if (length <= 34)
      width = std::max(width, length);  // a longer one gets its help on the next line
  }
  std::string out;
  for (const Command* command : shown) {
    const auto usage = usage_line(*command);
    if (usage.size() > width)
      out += fmt::format("  {}\n  {:{}}  {}\n", usage, "", width, command->help);
    else
      out += fmt::format("  {:{}}  {}\n", usage, width, command->help);
  }
  return out;
}

}  // namespace sluice::control
