#include "master/ctl/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>

#include "common/base/version.h"
#include "master/ctl/encrypt.h"
#include "master/ctl/prompt.h"
#include "tests/master/ctl/fake_master.h"

namespace sluice::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Strings = std::vector<std::string>;

CommandLine command(Strings words, std::string socket = "/nonexistent/control.sock") {
  return {.socket = std::move(socket), .words = std::move(words)};
}
ipc::ControlReply one_server() {
  ipc::ControlReply reply;
  reply.table.columns = {{"name", ipc::Kind::text}};
  reply.table.rows = {{{"db1"}}};
  return reply;
}
int batch(std::string text) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> input(
      ::fmemopen(text.data(), text.size(), "r"), &std::fclose);
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const int exit = run_batch(input.get(), command({}));
  ::testing::internal::GetCapturedStdout();
  ::testing::internal::GetCapturedStderr();
  return exit;
}

TEST(CommandLine, OptionsStandAnywhere) {
  const auto line = parse_command_line(Strings{"--json", "list", "--socket", "/a", "servers"});
  ASSERT_TRUE(line);
  EXPECT_TRUE(line->json);
  EXPECT_EQ(line->socket, "/a");
  EXPECT_THAT(line->words, ElementsAre("list", "servers"));
  EXPECT_EQ(parse_command_line(Strings{"--socket=/b"})->socket, "/b");
  EXPECT_EQ(parse_command_line({})->socket, kDefaultSocket);
  EXPECT_TRUE(parse_command_line(Strings{"list", "-h"})->help);
}

TEST(CommandLine, TwoDashesEndOptions) {
  const auto line = parse_command_line(Strings{"explain", "login", "--", "--json", "h"});
  ASSERT_TRUE(line);
  EXPECT_FALSE(line->json);
  EXPECT_THAT(line->words, ElementsAre("explain", "login", "--", "--json", "h"));
}

TEST(CommandLine, WrongOnesAreRefused) {
  EXPECT_FALSE(parse_command_line(Strings{"--socket"}));
  EXPECT_THAT(parse_command_line(Strings{"--jsno", "status"}).error().message,
              StartsWith("unknown option \"--jsno\""));
}

TEST(Run, PrintsTheTableOrJson) {
  {
    const FakeMaster master(FakeMaster::answering(one_server()));
    const auto outcome = run(command({"list", "servers"}, master.path()));
    EXPECT_EQ(outcome.exit, kDone);
    EXPECT_EQ(outcome.out, "NAME\ndb1\n");
    EXPECT_EQ(outcome.err, "");
  }
  const FakeMaster master(FakeMaster::answering(one_server()));
  auto line = command({"list", "servers"}, master.path());
  line.json = true;
  EXPECT_EQ(run(line).out, "[\n  {\"name\": \"db1\"}\n]\n");
}

TEST(Run, RefusalsGoToStderrAlone) {
  for (const bool json : {false, true}) {
    auto refused = one_server();
    refused.error = "no server shop/\x1b[2Jdb9";
    const FakeMaster master(FakeMaster::answering(refused));
    auto line = command({"show", "server", "shop/db9"}, master.path());
    line.json = json;
    const auto outcome = run(line);
    EXPECT_EQ(outcome.exit, kRefused);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "sluicectl: no server shop/\\x1b[2Jdb9\n");
  }
}

TEST(Run, UnreachableIsAFailureAndWrongUsageIsNoQuestion) {
  EXPECT_EQ(run(command({"status"})).exit, kRefused);
  EXPECT_EQ(run(command({"statsu"})).exit, kUsage);
  EXPECT_EQ(run(command({"kill", "session", "x"})).exit, kUsage);
}

TEST(Run, HelpAndVersionNeedNoDaemon) {
  const auto help = run(command({"help"}));
  EXPECT_EQ(help.exit, kDone);
  EXPECT_THAT(help.out, HasSubstr("set server CLUSTER/NAME maintenance|draining|clear"));
  EXPECT_EQ(run(command({"help", "kill", "session"})).out,
            "  kill session ID  end a client session\n");
  EXPECT_EQ(run({.version = true}).out, "sluicectl " + std::string(kRelease) + "\n");
  EXPECT_EQ(run({.help = true}).out, help.out);
}

TEST(Line, QuotedArgumentsArriveWhole) {
  ipc::ControlRequest seen;
  {
    const FakeMaster master(FakeMaster::answering({}, &seen));
    const auto outcome = run_line("explain login 'a b' \"10.0.0.%\"", command({}, master.path()));
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->exit, kDone) << outcome->err;
  }
  EXPECT_EQ(seen.command, "explain login");
  EXPECT_THAT(seen.arguments, ElementsAre("a b", "10.0.0.%"));
}

TEST(Line, QuitEndsAndTheRestDoesNot) {
  for (const auto* text : {"quit", " exit \n"}) EXPECT_FALSE(run_line(text, command({})));
  for (const auto* text : {"", "  \n", "# list servers"}) {
    const auto outcome = run_line(text, command({}));
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->exit, kDone);
    EXPECT_THAT(outcome->out + outcome->err, IsEmpty());
  }
  EXPECT_EQ(run_line("show 'open", command({}))->exit, kUsage);
  EXPECT_EQ(run_line("--nonsense", command({}))->exit, kUsage);
}

TEST(Batch, GoesOnAfterErrorsAndReturnsTheWorst) {
  EXPECT_EQ(batch("help\n\n# comment\n"), kDone);
  EXPECT_EQ(batch("status\nhelp\n"), kRefused);
  EXPECT_EQ(batch("nonsense\nstatus\nhelp"), kUsage);
  EXPECT_EQ(batch("help\nquit\nnonsense\n"), kDone);
}

TEST(Encrypt, FindsTheDaemonOfATreeAndOfAnInstallation) {
  const SocketPath root;  // for its directory
  for (const auto* folder : {"/bin", "/sbin"})
    ASSERT_EQ(::mkdir((root.folder() + folder).c_str(), 0755), 0);
  const auto bin = root.folder() + "/bin";
  EXPECT_EQ(find_sluiced(bin), "");
  const auto place = [](const std::string& path) {
    std::ofstream(path) << "#!/bin/sh\n";
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  };
  place(root.folder() + "/sbin/sluiced");
  EXPECT_EQ(find_sluiced(bin), bin + "/../sbin/sluiced");
  place(bin + "/sluiced");
  EXPECT_EQ(find_sluiced(bin), bin + "/sluiced");
}

}  // namespace
}  // namespace sluice::ctl
