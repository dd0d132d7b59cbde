#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support.h"

namespace tollgate::config {
namespace {

using ::testing::HasSubstr;

class Environment : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TOLLGATE_TEST_A", "alpha", 1);
    ::setenv("TOLLGATE_TEST_EMPTY", "", 1);
    ::unsetenv("TOLLGATE_TEST_UNSET");
  }
  static std::string expanded(const std::string& value) {
    return good("sources: [{auth: none, enforced_labels: {a: '" + value + "'}}]")
        .sources[0]
        .enforced_labels["a"];
  }
};

TEST_F(Environment, IsReplacedInValues) {
  EXPECT_EQ(expanded("${env:TOLLGATE_TEST_A}"), "alpha");
  EXPECT_EQ(expanded("x-${env:TOLLGATE_TEST_A}-${env:TOLLGATE_TEST_A}"), "x-alpha-alpha");
  EXPECT_EQ(expanded("${env:TOLLGATE_TEST_A:-beta}"), "alpha");
  EXPECT_EQ(expanded("${env:TOLLGATE_TEST_UNSET:-beta}"), "beta");
  EXPECT_EQ(expanded("${env:TOLLGATE_TEST_EMPTY:-beta}"), "beta");
  EXPECT_EQ(expanded("x${env:TOLLGATE_TEST_EMPTY}"), "x");
  EXPECT_EQ(expanded("x${env:TOLLGATE_TEST_UNSET:-}"), "x");
}

TEST_F(Environment, IsNotReplacedElsewhere) {
  EXPECT_EQ(expanded("$${env:TOLLGATE_TEST_A}"), "${env:TOLLGATE_TEST_A}");
  EXPECT_EQ(expanded("$TOLLGATE_TEST_A ${TOLLGATE_TEST_A} $$ a$$b"),
            "$TOLLGATE_TEST_A ${TOLLGATE_TEST_A} $$ a$$b");
  ::setenv("TOLLGATE_TEST_A", "${env:TOLLGATE_TEST_A}", 1);
  EXPECT_EQ(expanded("${env:TOLLGATE_TEST_A}"), "${env:TOLLGATE_TEST_A}");  // once
}

TEST_F(Environment, WorksForNumbersToo) {
  ::setenv("TOLLGATE_TEST_A", "3", 1);
  EXPECT_EQ(good("journal: {shards: '${env:TOLLGATE_TEST_A}'}").journal.shards, 3u);
}

TEST_F(Environment, ProblemsArePlaced) {
  EXPECT_EQ(bad("journal:\n  path: ${env:TOLLGATE_TEST_UNSET}"),
            "gate.yml:2:9: journal.path needs environment variable TOLLGATE_TEST_UNSET, which is "
            "not set; set it or write ${env:TOLLGATE_TEST_UNSET:-default}");
  EXPECT_THAT(bad("journal: {path: '${env:X'}"),
              HasSubstr("1:17: journal.path has ${env: without"));
  EXPECT_THAT(bad("journal: {path: '${env:}'}"),
              HasSubstr("1:17: journal.path: \"\" is not the name of an environment variable"));
}

}  // namespace
}  // namespace tollgate::config
