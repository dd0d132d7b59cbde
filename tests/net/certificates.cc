#include "certificates.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>

namespace tollgate::net {
namespace {

using Key = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;
using Cert = std::unique_ptr<X509, void (*)(X509*)>;
using FilePtr = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

FilePtr open(const std::string& path, const char* mode) {
  FilePtr file(std::fopen(path.c_str(), mode), &std::fclose);
  EXPECT_NE(file, nullptr) << path;
  return file;
}

void add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  ASSERT_NE(extension, nullptr) << value;
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

// An unsigned certificate for `key`.
Cert blank(const std::string& name, EVP_PKEY* key, long valid_seconds) {
  static std::atomic<long> serial{1};
  Cert cert(X509_new(), &X509_free);
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), valid_seconds);
  X509_set_pubkey(cert.get(), key);
  X509_NAME* subject = X509_get_subject_name(cert.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return cert;
}

void save(const std::string& cert_path, X509* cert, const std::string& key_path, EVP_PKEY* key) {
  PEM_write_X509(open(cert_path, "w").get(), cert);
  PEM_write_PrivateKey(open(key_path, "w").get(), key, nullptr, nullptr, 0, nullptr, nullptr);
}

}  // namespace

Certificates::Certificates() {
  std::string name = (std::filesystem::temp_directory_path() / "tollgate-net-XXXXXX").string();
  EXPECT_NE(::mkdtemp(name.data()), nullptr);
  folder_ = name;
}

Certificates::~Certificates() { std::filesystem::remove_all(folder_); }

std::string Certificates::ca(const std::string& name) {
  const Key own(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Cert made = blank(name, own.get(), 24 * 3600);
  X509_set_issuer_name(made.get(), X509_get_subject_name(made.get()));
  add_extension(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  X509_sign(made.get(), own.get(), EVP_sha256());
  save(cert(name), made.get(), key(name), own.get());
  return cert(name);
}

void Certificates::issue(const std::string& name, const std::string& ca, const std::string& sans,
                         long valid_seconds) {
  const Key ca_key(PEM_read_PrivateKey(open(key(ca), "r").get(), nullptr, nullptr, nullptr),
                   &EVP_PKEY_free);
  const Cert ca_cert(PEM_read_X509(open(cert(ca), "r").get(), nullptr, nullptr, nullptr),
                     &X509_free);
  const Key own(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Cert made = blank(name, own.get(), valid_seconds);
  X509_set_issuer_name(made.get(), X509_get_subject_name(ca_cert.get()));
  add_extension(made.get(), ca_cert.get(), NID_subject_alt_name, sans);
  X509_sign(made.get(), ca_key.get(), EVP_sha256());
  save(cert(name), made.get(), key(name), own.get());
}

}  // namespace tollgate::net
