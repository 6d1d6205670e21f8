// Certificates for tests, made on the spot: no key is checked in, and none expires.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct evp_pkey_st;
struct x509_st;

namespace sluice::test {

class TempDir;

enum class KeyKind { p256, rsa2048, ed25519 };

/// A private key in PEM, under a passphrase if one is given.
std::string make_key_pem(KeyKind kind, const std::string& passphrase = "");

/// What a certificate says; it may be shown by clients and servers alike.
struct CertificateContents {
  std::string common_name = "localhost";
  std::vector<std::string> names;                        ///< host names, "*.example.com" too
  std::vector<std::string> addresses;                    ///< IPv4 and IPv6
  std::chrono::seconds starts = -std::chrono::hours(1);  ///< from now
  std::chrono::seconds ends = std::chrono::hours(24);    ///< from now; negative: it has expired
  KeyKind key = KeyKind::p256;
};

/// A certificate and its key, as PEM.
struct Certificate {
  std::string pem, key_pem;
};

/// Paths of the files of a certificate.
struct CertificateFiles {
  std::string certificate, key;
};
/// Writes NAME.pem and NAME.key. Everybody can read them, as database servers run as another user.
CertificateFiles write_files(const TempDir& directory, std::string_view name,
                             const Certificate& certificate);

/// Signs certificates. Throws TestError when the library fails.
///
///   const CertificateAuthority ca("Shop CA");
///   const auto server = ca.issue({.common_name = "db1", .addresses = {"127.0.0.1"}});
///   write_file(directory / "ca.pem", ca.pem());
///   const auto files = write_files(directory, "db1", server);
class CertificateAuthority {
 public:
  explicit CertificateAuthority(std::string_view common_name = "Test CA");

  const std::string& pem() const { return pem_; }
  Certificate issue(const CertificateContents& contents = {}) const;
  /// One below this one. What it issues has to be shown together with its own pem().
  CertificateAuthority subordinate(std::string_view common_name) const;

 private:
  using Key = std::shared_ptr<evp_pkey_st>;
  using Signed = std::shared_ptr<x509_st>;
  CertificateAuthority(std::string_view common_name, const CertificateAuthority* above);

  Key key_;
  Signed certificate_;
  std::string pem_;
};

/// A certificate that nobody vouches for.
Certificate self_signed(const CertificateContents& contents = {});

}  // namespace sluice::test
