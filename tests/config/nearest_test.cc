#include "config/nearest.h"

#include <gtest/gtest.h>

namespace tollgate::config {
namespace {

TEST(Nearest, FindsTheSlip) {
  const std::vector<std::string> known = {"listen", "max_request_size", "max_decoded_size", "tls"};
  EXPECT_EQ(nearest("lisen", known), "listen");
  EXPECT_EQ(nearest("lsiten", known), "listen");
  EXPECT_EQ(nearest("listenn", known), "listen");
  EXPECT_EQ(nearest("max_requests_size", known), "max_request_size");
  EXPECT_EQ(nearest("maxDecodedSize", known), "max_decoded_size");
  EXPECT_EQ(nearest("max-decoded-size", known), "max_decoded_size");
  EXPECT_EQ(nearest("ssl", known), "tls");
}

TEST(Nearest, AlwaysNamesOneIfThereIsOne) {
  EXPECT_EQ(nearest("zzz", {"abc"}), "abc");
  EXPECT_EQ(nearest("", {"abc"}), "abc");
  EXPECT_EQ(nearest("x", {}), "");
}

TEST(Nearest, IsNotStoppedByAHugeKey) {
  EXPECT_EQ(nearest(std::string(1 << 20, 'a'), {"bbb", "aaa"}), "aaa");
}

}  // namespace
}  // namespace tollgate::config
