#include "monitor/tls.h"

#include <fmt/format.h>
#include <mysql/plugin_auth.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

// As in <mysql/client_plugin.h>, which includes a header that Debian's libmariadb-dev does not
// have.
extern "C" {
struct st_mysql_client_plugin_AUTHENTICATION {
  int type;
  unsigned interface_version;
  const char *name, *author, *description;
  unsigned version[3];
  const char* license;
  void* mysql_api;
  int (*init)(char*, std::size_t, int, va_list);
  int (*deinit)();
  int (*options)(const char*, const void*);
  int (*authenticate_user)(MYSQL_PLUGIN_VIO*, MYSQL*);
};
struct st_mysql_client_plugin* mysql_client_register_plugin(MYSQL*, struct st_mysql_client_plugin*);
}

namespace sluice::monitor {
namespace {

constexpr int kAuthenticationPlugin = 2;  // MYSQL_CLIENT_AUTHENTICATION_PLUGIN
constexpr unsigned kInterface = 0x0100;   // .._INTERFACE_VERSION
constexpr unsigned kTlsError = 2026;      // CR_SSL_CONNECTION_ERROR
constexpr const char* kGate = "sluice_gate";
constexpr const char* kServer = "server";  // a handle's user data

const char* or_null(const std::string& text) {
  return text.empty() ? nullptr : text.c_str();
}

int refuse(MYSQL* handle, const char* why) {
  handle->net.last_errno = kTlsError;
  std::snprintf(handle->net.last_error, sizeof handle->net.last_error, "%s", why);
  return CR_ERROR;
}

/// The certificate has to be for the configured host, not for the address that it was resolved to.
bool expect_identity(MYSQL* handle, std::string host) {
  if (host.ends_with('.')) host.pop_back();  // certificates know no absolute names
  char* name = ::strdup(host.c_str());
  if (name == nullptr) return false;
  std::free(std::exchange(handle->host, name));
  return true;
}

/// Called when the greeting is here and nothing was answered yet; the first write starts TLS where
/// it is offered. Knows no proof, so the server asks for the account's own plugin next. Source:
/// MariaDB Connector/C plugins/auth/my_auth.c, run_plugin_auth() and send_client_reply_packet(),
/// which goes on in clear where TLS is not offered.
int pass_gate(MYSQL_PLUGIN_VIO* vio, MYSQL* handle) {
  const config::Server* server = nullptr;
  ::mysql_get_optionv(handle, MARIADB_OPT_USERDATA, const_cast<char*>(kServer), &server);
  if (server == nullptr) return CR_ERROR;
  if (server->tls.mode == config::TlsMode::required && !(handle->server_capabilities & CLIENT_SSL))
    return refuse(handle, "does not offer TLS, which is required");
  if (!expect_identity(handle, server->address.host)) return refuse(handle, "no memory");
  return vio->write_packet(vio, nullptr, 0) == 0 ? CR_OK : CR_ERROR;
}

st_mysql_client_plugin_AUTHENTICATION gate = {kAuthenticationPlugin,
                                              kInterface,
                                              kGate,
                                              "sluice",
                                              "looks at the greeting first",
                                              {1, 0, 0},
                                              "",
                                              nullptr,
                                              nullptr,
                                              nullptr,
                                              nullptr,
                                              pass_gate};

}  // namespace

Result<ConnectionTls> ConnectionTls::make(const config::Server& server) {
  ConnectionTls made(server);
  const auto& tls = server.tls;
  if (tls.mode == config::TlsMode::off || server.address.is_unix()) return made;
  if (tls.verify != config::TlsVerify::none) made.ca_ = SLUICE_TRY(made.lend(tls.ca_pem));
  if (!tls.certificate_pem.empty()) {
    made.certificate_ = SLUICE_TRY(made.lend(tls.certificate_pem));
    made.key_ = SLUICE_TRY(made.lend(tls.key_pem.reveal()));
  }
  return made;
}

Result<std::string> ConnectionTls::lend(std::string_view pem) {
  UniqueFd fd(::memfd_create("pem", MFD_CLOEXEC));
  if (!fd) return fail_errno("memfd_create");
  while (!pem.empty()) {
    const ssize_t n = ::write(fd.get(), pem.data(), pem.size());
    if (n < 0) return fail_errno("write a certificate into memory");
    pem.remove_prefix(static_cast<std::size_t>(n));
  }
  auto path = fmt::format("/proc/self/fd/{}", fd.get());
  lent_.push_back(std::move(fd));
  return path;
}

void ConnectionTls::apply(MYSQL* handle) const {
  const auto& tls = server_->tls;
  if (tls.mode == config::TlsMode::off || server_->address.is_unix()) return;
  ::mysql_ssl_set(handle, or_null(key_), or_null(certificate_), or_null(ca_), nullptr,
                  or_null(tls.ciphers));
  const my_bool use = 1, identity = tls.verify == config::TlsVerify::identity ? 1 : 0;
  ::mysql_options(handle, MYSQL_OPT_SSL_ENFORCE, &use);
  ::mysql_options(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &identity);
  ::mysql_options(handle, MARIADB_OPT_TLS_VERSION,
                  tls.min_version == "1.3" ? "TLSv1.3" : "TLSv1.2,TLSv1.3");
  ::mysql_options(handle, MYSQL_DEFAULT_AUTH, kGate);
  ::mysql_optionsv(handle, MARIADB_OPT_USERDATA, const_cast<char*>(kServer),
                   const_cast<config::Server*>(server_));
}

void register_tls_gate(MYSQL* handle) {
  ::mysql_client_register_plugin(handle, reinterpret_cast<st_mysql_client_plugin*>(&gate));
}

}  // namespace sluice::monitor
