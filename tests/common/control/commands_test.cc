#include "common/control/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/base/closest.h"
#include "common/base/log.h"

namespace sluice::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Strings = std::vector<std::string>;

static_assert(find_command("list servers")->access == Access::view);
static_assert(find_command("list server") == nullptr);

Result<Invocation> understand_line(std::string_view line) {
  return understand(split_words(line).value());
}
std::string problem(std::string_view line) {
  const auto got = understand_line(line);
  return got ? "understood as " + std::string(got->command->words) : got.error().message;
}

TEST(Commands, RowsAreWellFormed) {
  std::set<std::string_view> seen;
  for (const Command& command : kCommands) {
    EXPECT_TRUE(seen.insert(command.words).second) << command.words << " twice";
    EXPECT_FALSE(command.help.empty()) << command.words;
    EXPECT_GT(command.patience_s, 0);
    EXPECT_EQ(find_command(command.words), &command);
  }
}

TEST(Commands, LogLevelsAreThoseOfTheLog) {
  std::string levels;
  for (const auto level : log::kLevelNames)
    levels += (levels.empty() ? "" : "|") + std::string(level);
  EXPECT_EQ(find_command("log level")->usage, levels);
}

TEST(Understand, FindsTheLongestRow) {
  const auto all = understand_line("reload accounts shop");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->command->words, "reload accounts");
  EXPECT_THAT(all->arguments, ElementsAre("shop"));

  const auto dry = understand_line("reload --dry-run");
  ASSERT_TRUE(dry);
  EXPECT_EQ(dry->command->words, "reload");
  EXPECT_THAT(dry->arguments, ElementsAre("--dry-run"));
}

TEST(Understand, TakesEveryCommandOfTheContract) {
  for (const auto* line : {"list clusters",
                           "list servers",
                           "list services",
                           "list listeners",
                           "list workers",
                           "list sessions",
                           "list accounts",
                           "show cluster shop",
                           "show server shop/db1",
                           "show service shop",
                           "show session 3-42",
                           "show worker 812",
                           "reload",
                           "reload --dry-run",
                           "reload accounts",
                           "set server shop/db1 maintenance",
                           "set server shop/db1 draining",
                           "set server shop/db1 clear",
                           "kill session 3-42",
                           "explain login app 10.0.0.5",
                           "explain login '' 10.0.0.5 shop",
                           "log level debug",
                           "log rotate",
                           "status",
                           "version",
                           "encrypt",
                           "help",
                           "help set server"})
    EXPECT_TRUE(understand_line(line)) << line << ": " << problem(line);
}

TEST(Understand, UnknownCommandsAreAnsweredWithTheNearest) {
  EXPECT_EQ(problem("list severs"),
            "unknown command \"list severs\"; did you mean \"list servers\"?");
  EXPECT_EQ(problem("show servers shop/db1"),
            "unknown command \"show servers\"; did you mean \"show server\"?");
  EXPECT_EQ(problem("relaod"), "unknown command \"relaod\"; did you mean \"reload\"?");
  EXPECT_EQ(problem("switchover shop"),
            "unknown command \"switchover shop\"; \"help\" lists the commands");
  EXPECT_THAT(problem(std::string(100'000, 'x')), HasSubstr("unknown command"));
  EXPECT_EQ(problem(""), "no command");
  EXPECT_EQ(problem("--"), "no command");
}

TEST(Understand, HalfACommandIsAnsweredWithItsContinuations) {
  EXPECT_EQ(problem("show"),
            "\"show\" is not a whole command; there is\n"
            "  show cluster NAME\n  show server CLUSTER/NAME\n  show service NAME\n"
            "  show session ID\n  show worker PID");
}

TEST(Understand, WrongArgumentsAreAnsweredWithTheUsage) {
  EXPECT_EQ(problem("set server shop/db1"),
            "set server: maintenance|draining|clear is missing\n"
            "usage: set server CLUSTER/NAME maintenance|draining|clear");
  EXPECT_THAT(problem("set server shop/db1 drainig"), HasSubstr("did you mean \"draining\"?"));
  EXPECT_THAT(problem("set server shop/db1 off"),
              HasSubstr("\"off\" is not one of maintenance, draining, clear"));
  for (const auto* name : {"db1", "/db1", "shop/", "shop/db1/x", "''"})
    EXPECT_THAT(problem("show server " + std::string(name)), HasSubstr("is not a CLUSTER/NAME"));
  for (const auto* id :
       {"x", "-1", "1x-2", "7", "3-", "-17", "3-99999999999999999999999", "''", "' 3-1'"})
    EXPECT_THAT(problem("kill session -- " + std::string(id)), HasSubstr("is not a session"));
  EXPECT_THAT(problem("status now"), HasSubstr("unexpected argument \"now\"\nusage: status"));
  EXPECT_THAT(problem("reload --dry"), HasSubstr("unknown option \"--dry\""));
}

TEST(Understand, TwoDashesEndOptions) {
  const auto got = understand_line("explain login -- --odd-user -h");
  ASSERT_TRUE(got) << problem("explain login -- --odd-user -h");
  EXPECT_THAT(got->arguments, ElementsAre("--odd-user", "-h"));
  EXPECT_THAT(problem("explain login --odd-user h"), HasSubstr("unknown option \"--odd-user\""));
}

TEST(CheckArguments, IsWhatTheMasterTrusts) {
  const Command& kill = *find_command("kill session");
  EXPECT_TRUE(check_arguments(kill, Strings{"3-7"}));
  EXPECT_FALSE(check_arguments(kill, Strings{}));
  EXPECT_FALSE(check_arguments(kill, Strings{"3-7", "8"}));
  EXPECT_FALSE(check_arguments(kill, Strings{"--dry-run"}));
}

TEST(SplitWords, QuotesAsInAShell) {
  EXPECT_THAT(split_words("  list \t servers\n").value(), ElementsAre("list", "servers"));
  EXPECT_THAT(split_words("a 'SELECT \"x\" \\' b").value(),
              ElementsAre("a", "SELECT \"x\" \\", "b"));
  EXPECT_THAT(split_words(R"("it's \"x\"" a\ b '')").value(), ElementsAre("it's \"x\"", "a b", ""));
  EXPECT_THAT(split_words("a'b'\"c\"d").value(), ElementsAre("abcd"));
  EXPECT_THAT(split_words(" \r\n").value(), IsEmpty());
  EXPECT_EQ(split_words("explain 'SELECT").error().message, "a ' is not closed");
}

TEST(Completions, FollowTheTable) {
  EXPECT_THAT(completions({}, "l"), ElementsAre("list", "log"));
  EXPECT_THAT(completions(Strings{"show"}, "se"), ElementsAre("server", "service", "session"));
  EXPECT_THAT(completions(Strings{"set", "server"}, ""), IsEmpty());
  EXPECT_THAT(completions(Strings{"set", "server", "shop/db1"}, ""),
              ElementsAre("maintenance", "draining", "clear"));
  EXPECT_THAT(completions(Strings{"reload"}, ""), ElementsAre("--dry-run", "accounts"));
  EXPECT_THAT(completions(Strings{"nonsense"}, ""), IsEmpty());
}

TEST(HelpText, NamesEveryCommandOrTheOnesAskedFor) {
  const auto all = help_text();
  for (const Command& command : kCommands) EXPECT_THAT(all, HasSubstr(usage_line(command)));
  EXPECT_EQ(help_text("log rotate"), "  log rotate  open the log file anew\n");
  EXPECT_EQ(help_text("no such thing"), all);
}

TEST(Closest, KnowsSlipsFromOtherWords) {
  const std::vector<std::string_view> known{"listen", "target", "tls"};
  EXPECT_EQ(closest(known, "lisen"), "listen");
  EXPECT_EQ(closest(known, "tagret"), "target");
  EXPECT_EQ(closest(known, "workers"), "");
  EXPECT_EQ(closest(known, ""), "");
  EXPECT_EQ(edit_distance("ab", "ba"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

}  // namespace
}  // namespace sluice::control
