#include "tests/support/login_world.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include "tests/support/free_port.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

constexpr const char* kHosts =
    "127.0.0.1 localhost\n"
    "::1 localhost\n"
    "127.0.0.2 web1.test\n"
    "127.0.0.5 proxy.test\n"
    "127.0.0.10 WEB2.Test\n"
    "127.0.0.100 7.looks.like.an.address.test\n"
    "10.1.2.3 app.test\n"
    "2001:db8::17 six.test\n";
constexpr const char* kNameServices = "hosts: files\npasswd: files\ngroup: files\n";
/// Where the server is reached from another address than 127.0.0.1.
constexpr const char* kElsewhere = "127.0.0.77";
constexpr unsigned kThreads = 8;

std::string line_header(const std::string& from, uint16_t port) {
  const bool v6 = from.find(':') != std::string::npos;
  return fmt::format("PROXY {} {} {} 40000 {}\r\n", v6 ? "TCP6" : "TCP4", from,
                     v6 ? "::1" : "127.0.0.1", port);
}

/// Version 2; of an IPv6 address version 1 all the same.
std::string binary_header(const std::string& from, uint16_t port) {
  in_addr source{}, destination{htonl(INADDR_LOOPBACK)};
  if (::inet_pton(AF_INET, from.c_str(), &source) != 1) return line_header(from, port);
  const uint16_t ports[] = {htons(40000), htons(port)};
  std::string out("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 16);
  out.append(reinterpret_cast<const char*>(&source), sizeof source);
  out.append(reinterpret_cast<const char*>(&destination), sizeof destination);
  return out.append(reinterpret_cast<const char*>(ports), sizeof ports);
}

bool is_loopback(const std::string& address) {
  return address.empty() || address.starts_with("127.") || address == "::1";
}

}  // namespace

std::string LoginWorld::obstacle(const LoginWorldOptions& options) {
  if (const auto can = MariadbServer::available(options.release); !can) return can.error();
  if (!options.resolves_names && options.proxy_address == "127.0.0.1") return {};
  return no_namespaces();
}

LoginWorld::LoginWorld(const LoginWorldOptions& options) : proxy_address_(options.proxy_address) {
  enter(options);
  make_certificates();
  start_servers(options);
  fill_palette(options);
  start_sluice();
}

void LoginWorld::enter(const LoginWorldOptions& options) {
  if (options.resolves_names)
    files_.emplace(std::vector<std::pair<std::string, std::string>>{
        {"/etc/hosts", kHosts}, {"/etc/nsswitch.conf", kNameServices}});
  if (proxy_address_ == "127.0.0.1") return;
  network_.emplace();
  server_address_ = kElsewhere;
  const auto routed = run_command({"ip", "route", "add", "local", server_address_, "dev", "lo",
                                   "table", "local", "src", proxy_address_});
  if (routed.exit_code != 0) throw TestError("a route: " + routed.err);
}

void LoginWorld::make_certificates() {
  const CertificateAuthority one("One"), two("Two"), nobody("Nobody");
  authorities_ = dir_ / "authorities.pem";
  write_file(authorities_, one.pem() + two.pem());
  const auto files = [&](const char* name, const CertificateAuthority& authority) {
    return write_files(dir_, name, authority.issue({.common_name = name}));
  };
  server_certificate_ = files("server", one);
  proxy_certificate_ = files("anna", one);  // so the server finds all demands for that one met
  tls_choices_ = {
      {},
      {.on = true},
      {.on = true, .cipher = "ECDHE-ECDSA-AES128-GCM-SHA256"},
      {.on = true, .certificate = proxy_certificate_},
      {.on = true, .certificate = files("berta", one)},
      {.on = true, .certificate = files("berta2", two), .cipher = "ECDHE-ECDSA-AES256-GCM-SHA384"},
      {.on = true, .certificate = files("carla", nobody)}};
}

void LoginWorld::start_servers(const LoginWorldOptions& options) {
  const auto start = [&](const std::string& name) {
    MariadbOptions server{.name = name, .host = server_address_};
    server.bind_address = "127.0.0.1,::1";
    if (server_address_ != "127.0.0.1") server.bind_address += "," + server_address_;
    if (options.release == MariadbRelease::Older) server.bind_address = "*";  // it takes no list
    server.extra_args = {"--proxy-protocol-networks=127.0.0.0/8,::1",
                         "--plugin-load-add=auth_ed25519",
                         "--max-connect-errors=1000000",
                         "--thread-cache-size=256",
                         "--ssl-ca=" + authorities_,
                         "--ssl-cert=" + server_certificate_.certificate,
                         "--ssl-key=" + server_certificate_.key,
                         fmt::format("--skip-name-resolve={}", options.resolves_names ? 0 : 1)};
    return std::make_unique<MariadbServer>(server, DatabaseServer::Start::Launched,
                                           options.release);
  };
  server_ = start("db1");
  oracle_ = start("oracle");
  databases_ = {"shop", "shop1", "shop_1", "shopx1"};
  for (auto* server : {server_.get(), oracle_.get()}) {
    server->wait_ready();
    for (const auto& database : databases_)
      server->exec(fmt::format("CREATE DATABASE `{}`", database));
    // What sluice watches with must not let every address in.
    server->exec(fmt::format("RENAME USER sluice@'%' TO sluice@'{}'", proxy_address_));
  }
}

void LoginWorld::fill_palette(const LoginWorldOptions& options) {
  palette_.addresses = {proxy_address_, proxy_address_, "127.0.0.1",   "127.0.0.2",
                        "127.0.0.10",   "127.0.0.100",  "127.1.2.3",   "10.1.2.3",
                        "10.1.2.33",    "::1",          "2001:db8::17"};
  if (options.resolves_names)
    palette_.names = {"web1.test", "%.test",    "web_.test", "WEB1.TEST",    "proxy.test",
                      "app.test",  "localhost", "web%",      "no.such.test", "six.test"};
  palette_.databases = {"shop", "shop%", "shop_1", R"(shop\_1)", "%",
                        "s%1",  "shop1", "sh_p",   "SHOP",       R"(shop\%)"};
  palette_.tls_demands = {R"("ssl_type": 1)",
                          R"("ssl_type": 2)",
                          R"("ssl_type": 3, "x509_subject": "/CN=anna")",
                          R"("ssl_type": 3, "x509_issuer": "/CN=Two")",
                          R"("ssl_type": 3, "x509_issuer": "/CN=One", "x509_subject": "/CN=anna")",
                          R"("ssl_type": 3, "ssl_cipher": "ECDHE-ECDSA-AES128-GCM-SHA256")",
                          R"("ssl_type": 3, "ssl_cipher": "TLS_AES_256_GCM_SHA384")"};
  for (const std::string password : {"first", "second"}) {
    server_->exec(
        fmt::format("CREATE USER tmp IDENTIFIED VIA ed25519 USING PASSWORD('{0}')"
                    " OR mysql_native_password USING PASSWORD('{0}')",
                    password));
    const auto stored = [&](int way) {
      return server_->value(fmt::format(
          "SELECT COALESCE(JSON_VALUE(Priv, '$.auth_or[{0}].authentication_string'),"
          " JSON_VALUE(Priv, '$.authentication_string')) FROM mysql.global_priv WHERE User = 'tmp'",
          way));
    };
    palette_.proofs[password] = {
        fmt::format(R"("plugin": "mysql_native_password", "authentication_string": "{}")",
                    stored(1)),
        fmt::format(R"("plugin": "ed25519", "authentication_string": "{}")", stored(0))};
    server_->exec("DROP USER tmp");
  }
  palette_.proofs[""] = {R"("plugin": "mysql_native_password", "authentication_string": "")"};
  palette_.proofs["of nobody"] = {
      R"("plugin": "mysql_native_password", "authentication_string": "invalid")",
      R"("plugin": "unix_socket", "authentication_string": "")"};
}

void LoginWorld::start_sluice() {
  SluiceConfig config;
  const auto shows = fmt::format("mode = \"required\", certificate = \"{}\", key = \"{}\"",
                                 proxy_certificate_.certificate, proxy_certificate_.key);
  for (const bool announces : {false, true})
    for (const bool encrypts : {false, true}) {
      const auto name =
          fmt::format("shop{}{}", announces ? "-announced" : "", encrypts ? "-encrypted" : "");
      config.add_cluster(name, "single", {server_.get()}).extra = fmt::format(
          "proxy_protocol = {}\ntls = {{ {} }}", announces, encrypts ? shows : "mode = \"off\"");
    }
  const auto tls = fmt::format(
      "tls = {{ mode = \"preferred\", certificate = \"{}\", key = \"{}\", ca = \"{}\" }}",
      server_certificate_.certificate, server_certificate_.key, authorities_);
  paths_ = {{.service = "local"},
            {.service = "central", .judged_as_connected = true},
            {.service = "lax", .judged_as_connected = true, .allows_mismatch = true},
            {.service = "announced", .judged_as_connected = true, .announces = true},
            {.service = "behind", .takes_headers = true},
            {.service = "behind-announced", .announces = true, .takes_headers = true}};
  for (std::size_t i = 0, plain = paths_.size(); i < plain; ++i) {
    auto encrypted = paths_[i];
    encrypted.service += "-encrypted";
    encrypted.encrypts = true;
    paths_.push_back(encrypted);
  }
  sluice_ = std::make_unique<Sluice>(std::move(config), Sluice::Start::Stopped);
  for (const auto& path : paths_) {
    const auto port = free_port();
    sluice_->config.services[path.service] = {
        .cluster = fmt::format("shop{}{}", path.announces ? "-announced" : "",
                               path.encrypts ? "-encrypted" : ""),
        .listen = {fmt::format("127.0.0.1:{}", port), fmt::format("[::1]:{}", port),
                   sluice_->path(path.service)},
        .extra =
            fmt::format("identity = \"{}\"\naccount_mismatch = \"{}\"\nproxy_protocol_from = [{}]\n"
                        "max_failed_logins = 0\nlogin_timeout = \"30s\"\n{}",
                        path.judged_as_connected ? "as-connected" : "outgoing",
                        path.allows_mismatch ? "allow" : "refuse",
                        path.takes_headers ? "\"127.0.0.0/8\", \"::1\"" : "", tls)};
  }
  sluice_->start();
  if (!eventually(20s, [&] { return sluice_->ctl({"reload", "accounts"}).exit_code == 0; }))
    throw TestError("sluice can't load the accounts: " + tail(sluice_->log(), 20));
}

// Accounts.

namespace {

const std::vector<std::string> kKept = {"root", "mariadb.sys", "sluice"};

AccountSet stripped(AccountSet accounts) {
  for (auto& row : accounts.rows)
    if (!row.unreadable && !row.is_role) row.priv = "{}";
  accounts.grants.clear();
  accounts.roles.clear();
  return accounts;
}

}  // namespace

std::string LoginWorld::accounts_sql(const AccountSet& accounts) const {
  return fill_tables_sql(accounts, kKept);
}

void LoginWorld::set_accounts(const AccountSet& accounts) {
  server_->exec(accounts_sql(accounts));
  oracle_->exec(accounts_sql(stripped(accounts)));
  load_.emplace(ProcessSpec{
      .argv = {program("sluicectl"), "--socket", sluice_->control_socket(), "reload", "accounts"},
      .output = sluice_->path("loads")});
}

void LoginWorld::wait_loaded() {
  if (load_->wait(30s) == 0) return;
  // On a busy machine the monitor may take the server for one that does not answer.
  if (!eventually(20s, [&] { return sluice_->ctl({"reload", "accounts"}).exit_code == 0; }))
    throw TestError("reload accounts: " + tail(read_file(sluice_->path("loads")), 5) +
                    tail(sluice_->log(), 20));
}

bool LoginWorld::grants_differ(const AccountSet& accounts, const LoginClient& client,
                               const Judged& judged) {
  AccountSet probes;
  std::vector<LoginAttempt> attempts;
  for (const auto& grant : accounts.grants) {
    const auto& user = client.attempt.user;
    if (!grant.user.empty() && grant.user != user && "'" + grant.user + "'" != user) continue;
    auto probe = client;
    probe.attempt.user = fmt::format("probe{}", probes.rows.size());
    probes.rows.push_back({.user = probe.attempt.user, .host = grant.host});
    for (const auto& address : {judged.by, judged.seen})
      attempts.push_back(at_oracle(probe, address));
  }
  oracle_->exec(accounts_sql(probes));
  const auto outcomes = try_logins(attempts, {}, kThreads);
  for (std::size_t i = 0; i < outcomes.size(); i += 2)
    if (outcomes[i].accepted() != outcomes[i + 1].accepted()) return true;
  return false;
}

// Clients.

Judged LoginWorld::judged(const LoginPath& path, const LoginClient& client) const {
  if (!path.judged_as_connected && is_loopback(client.address))
    return {proxy_address_, proxy_address_};
  return {client.address, path.announces ? client.address : proxy_address_};
}

LoginAttempt LoginWorld::at(const MariadbServer& server, const LoginClient& client,
                            const std::string& from) const {
  auto attempt = client.attempt;
  attempt.port = server.port();
  if (from.empty())
    attempt.socket = server.socket_path();
  else if (from == "::1")
    attempt.host = from;
  else if (is_loopback(from))
    attempt.bind_address = from;
  else
    attempt.header = line_header(from, server.port());
  return attempt;
}

AttemptTls LoginWorld::proxy_tls(const LoginPath& path) const {
  if (!path.encrypts) return {};
  return {.on = true, .certificate = proxy_certificate_};
}

LoginAttempt LoginWorld::directly(const LoginClient& client, const std::string& from) const {
  return at(*server_, client, from);
}

LoginAttempt LoginWorld::at_oracle(const LoginClient& client, const std::string& from) const {
  auto attempt = at(*oracle_, client, from);
  attempt.password.clear();
  attempt.database.clear();
  attempt.tls = {};
  attempt.first_as.clear();
  return attempt;
}

LoginAttempt LoginWorld::through(const LoginPath& path, const LoginClient& client) const {
  auto attempt = client.attempt;
  attempt.port = sluice_->port(path.service);
  if (path.takes_headers)
    attempt.header = client.binary_header ? binary_header(client.address, attempt.port)
                                          : line_header(client.address, attempt.port);
  else if (client.address.empty())
    attempt.socket = sluice_->path(path.service);
  else if (client.address == "::1")
    attempt.host = client.address;
  else
    attempt.bind_address = client.address;
  return attempt;
}

}  // namespace sluice::test
