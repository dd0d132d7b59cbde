#include "admin/json.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "fake_gateway.h"

namespace tollgate::admin {
namespace {

namespace json = boost::json;

// Compares as JSON: the order of keys and the notation of numbers do not matter.
void expect_json(const json::value& actual, const char* expected) {
  // Through text, as readers get it.
  EXPECT_EQ(json::parse(json::serialize(actual)), json::parse(expected)) << json::serialize(actual);
}

TEST(Json, TheLedgerIsWhatTheContractSays) {
  FakeJournal journal;
  const auto stream = journal.stream("team", "blue");
  journal.declare("amp");
  journal.declare("gone");
  journal.accept(stream, 10);
  journal.deliver("amp", stream, 6);
  journal.drop("amp", stream, 1, model::DropReason::kRefused);
  journal.remove("gone");
  expect_json(ledger_json(take_ledger(hooks_on(journal, {}))), R"({
    "destinations": [
      {"destination": "amp", "tenant": "team", "accepted": 10, "delivered": 6,
       "dropped": {"refused": 1, "journal_full": 0, "corrupt": 0, "destination_removed": 0},
       "pending": 3, "pending_bytes": 30, "oldest_pending_timestamp_seconds": 1700000000.5,
       "closes": true},
      {"destination": "gone", "tenant": "team", "accepted": 10, "delivered": 0,
       "dropped": {"refused": 0, "journal_full": 0, "corrupt": 0, "destination_removed": 10},
       "pending": 0, "pending_bytes": 0, "oldest_pending_timestamp_seconds": null,
       "closes": true}],
    "rows": [
      {"destination": "amp", "tenant": "team", "source": "blue", "accepted": 10, "delivered": 6,
       "dropped": {"refused": 1, "journal_full": 0, "corrupt": 0, "destination_removed": 0},
       "pending": 3, "pending_bytes": 30, "oldest_pending_timestamp_seconds": 1700000000.5,
       "closes": true},
      {"destination": "gone", "tenant": "team", "source": null, "accepted": 10, "delivered": 0,
       "dropped": {"refused": 0, "journal_full": 0, "corrupt": 0, "destination_removed": 10},
       "pending": 0, "pending_bytes": 0, "oldest_pending_timestamp_seconds": null,
       "closes": true}],
    "totals":
      {"accepted": 20, "delivered": 6,
       "dropped": {"refused": 1, "journal_full": 0, "corrupt": 0, "destination_removed": 10},
       "pending": 3, "pending_bytes": 30, "oldest_pending_timestamp_seconds": 1700000000.5,
       "closes": true}
  })");
}

TEST(Json, ALedgerThatDoesNotCloseSaysSo) {
  Ledger ledger;
  Balance& balance = ledger.rows[{"amp", "team", "blue"}];
  balance.accepted = 10;
  balance.delivered = 9;
  const json::value out = ledger_json(ledger);
  EXPECT_FALSE(out.at("destinations").at(0).at("closes").as_bool());
  EXPECT_FALSE(out.at("totals").at("closes").as_bool());
}

TEST(Json, SourcesShowWhatTheySentAndWhatWasRefused) {
  Ledger ledger;
  ledger.accepted[{"blue", "a"}] = 5;
  ledger.accepted[{"blue", "b"}] = 6;
  ledger.accepted[{"green", "a"}] = 100;
  SourceStatus blue;
  blue.name = "blue";
  blue.last_request_ms = 1'700'000'000'250;
  blue.last_status = 400;
  blue.last_peer = "10.0.0.7:4711";
  blue.last_problem = "1 series without a name";
  blue.received = 12;
  blue.rejected["missing_name"] = 1;
  SourceStatus silent;
  silent.name = "silent";
  expect_json(sources_json({blue, silent}, ledger), R"({"sources": [
    {"name": "blue", "last_request_timestamp_seconds": 1700000000.25, "last_status": 400,
     "last_peer": "10.0.0.7:4711", "last_problem": "1 series without a name", "accepted": 11,
     "received_since_start": 12, "rejected_since_start": {"missing_name": 1}},
    {"name": "silent", "last_request_timestamp_seconds": null, "last_status": null,
     "last_peer": null, "last_problem": null, "accepted": 0,
     "received_since_start": 0, "rejected_since_start": {}}]})");
}

TEST(Json, TenantsShowWhereTheirSamplesCameFrom) {
  Ledger ledger;
  ledger.accepted[{"blue", "a"}] = 5;
  ledger.accepted[{"green", "a"}] = 100;
  ledger.accepted[{"blue", "b"}] = 6;
  expect_json(tenants_json(ledger), R"({"tenants": [
    {"name": "a", "accepted": 105, "accepted_by_source": {"blue": 5, "green": 100}},
    {"name": "b", "accepted": 6, "accepted_by_source": {"blue": 6}}]})");
}

TEST(Json, DestinationsShowHowTheyAreDoing) {
  Ledger ledger;
  Balance& balance = ledger.rows[{"amp", "team", "blue"}];
  balance.accepted = 10;
  balance.delivered = 7;
  balance.pending = 3;
  balance.pending_bytes = 33;
  balance.oldest_pending_ms = 1'700'000'000'000;
  DestinationStatus amp;
  amp.name = "amp";
  amp.url = "https://aps.example/api/v1/remote_write";
  amp.dialect = "amp";
  amp.state = "retrying";
  amp.last_status = 503;
  amp.last_error = "server returned 503: \xFF";
  amp.last_error_ms = 1'700'000'001'000;
  amp.last_success_ms = 1'699'999'999'000;
  amp.highest_sent_timestamp_ms = 1'699'999'998'000;
  DestinationStatus idle;
  idle.name = "idle";
  idle.url = "http://127.0.0.1:1/";
  idle.dialect = "prometheus";
  idle.state = "ok";
  expect_json(destinations_json({amp, idle}, ledger, 1'700'000'004'500), R"({"destinations": [
    {"name": "amp", "url": "https://aps.example/api/v1/remote_write", "dialect": "amp",
     "state": "retrying", "last_status": 503, "last_error": "server returned 503: \uFFFD",
     "last_error_timestamp_seconds": 1700000001.0, "last_success_timestamp_seconds": 1699999999.0,
     "highest_sent_timestamp_seconds": 1699999998.0, "lag_seconds": 4.5,
     "accepted": 10, "delivered": 7,
     "dropped": {"refused": 0, "journal_full": 0, "corrupt": 0, "destination_removed": 0},
     "pending": 3, "pending_bytes": 33, "oldest_pending_timestamp_seconds": 1700000000.0,
     "closes": true},
    {"name": "idle", "url": "http://127.0.0.1:1/", "dialect": "prometheus",
     "state": "ok", "last_status": null, "last_error": null,
     "last_error_timestamp_seconds": null, "last_success_timestamp_seconds": null,
     "highest_sent_timestamp_seconds": null, "lag_seconds": 0.0,
     "accepted": 0, "delivered": 0,
     "dropped": {"refused": 0, "journal_full": 0, "corrupt": 0, "destination_removed": 0},
     "pending": 0, "pending_bytes": 0, "oldest_pending_timestamp_seconds": null,
     "closes": true}]})");
}

TEST(Json, AClockThatWentBackGivesNoNegativeLag) {
  Ledger ledger;
  ledger.rows[{"amp", "t", "s"}].oldest_pending_ms = 2000;
  DestinationStatus amp;
  amp.name = "amp";
  const json::value out = destinations_json({amp}, ledger, 1000);
  EXPECT_EQ(out.at("destinations").at(0).at("lag_seconds").as_double(), 0);
}

TEST(Json, EnvelopesAreThoseOfPrometheus) {
  EXPECT_EQ(success(json::array{}), "{\"status\":\"success\",\"data\":[]}\n");
  EXPECT_EQ(failure("bad_data", "say \"what\"\xFF"),
            "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"say "
            "\\\"what\\\"\xEF\xBF\xBD\"}\n");
}

}  // namespace
}  // namespace tollgate::admin
