#include <gtest/gtest.h>

#include <filesystem>

#include "support.h"

namespace tollgate::config {
namespace {

// Every example that we ship is one that the gateway would start with.
TEST(Examples, AllLoad) {
  const std::filesystem::path directory = std::string(TOLLGATE_SOURCE_DIR) + "/configs";
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() != ".yml") continue;
    seen++;
    auto config = load(entry.path().string());
    EXPECT_TRUE(config.ok()) << (config ? "" : config.error().message);
  }
  EXPECT_GE(seen, 2);
}

TEST(Examples, ClustersAreToldApartByIdentity) {
  auto config = load(std::string(TOLLGATE_SOURCE_DIR) + "/configs/clusters-to-thanos.yml");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->sources.size(), 3u);
  for (const Source& source : config->sources) {
    EXPECT_NE(source.auth.kind, AuthKind::kNone) << source.name;
    EXPECT_EQ(source.enforced_labels.at("cluster"), source.name);
  }
  ASSERT_FALSE(config->remote_write.empty());
  EXPECT_EQ(config->remote_write[0].tenant_header, "THANOS-TENANT");
}

}  // namespace
}  // namespace tollgate::config
