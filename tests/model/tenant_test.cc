#include "model/tenant.h"

#include <gtest/gtest.h>

#include <string>

namespace tollgate::model {
namespace {

TEST(Tenant, IdsHaveTheCharactersOfTheContract) {
  const std::string allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!_.*'()-";
  for (int c = 0; c < 256; c++) {
    const std::string id = std::string("a") + static_cast<char>(c);
    EXPECT_EQ(valid_tenant(id), allowed.find(static_cast<char>(c)) != std::string::npos) << c;
  }
}

TEST(Tenant, IdsHaveALength) {
  EXPECT_FALSE(valid_tenant(""));
  EXPECT_TRUE(valid_tenant("a"));
  EXPECT_TRUE(valid_tenant(std::string(150, 'a')));
  EXPECT_FALSE(valid_tenant(std::string(151, 'a')));
}

TEST(Tenant, IdsAreNoPaths) {
  EXPECT_FALSE(valid_tenant("."));
  EXPECT_FALSE(valid_tenant(".."));
  EXPECT_TRUE(valid_tenant("..."));
  EXPECT_TRUE(valid_tenant(".a"));
  EXPECT_FALSE(valid_tenant("../a"));
  EXPECT_FALSE(valid_tenant("a/b"));
  EXPECT_FALSE(valid_tenant("a\\b"));
}

TEST(LabelName, IsPrometheuss) {
  for (const char* name : {"a", "A", "_", "__name__", "a1", "cluster_name"}) {
    EXPECT_TRUE(valid_label_name(name)) << name;
  }
  for (const char* name : {"", "1a", "a-b", "a.b", "a b", "a:b", "é", "a\n"}) {
    EXPECT_FALSE(valid_label_name(name)) << name;
  }
}

}  // namespace
}  // namespace tollgate::model
