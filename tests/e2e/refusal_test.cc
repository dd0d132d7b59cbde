#include <gtest/gtest.h>

#include <atomic>

#include "scenario.h"

namespace tollgate::e2e {
namespace {

bool from_sender(const prometheus::WriteRequest& request, const std::string& name) {
  for (const auto& series : request.timeseries()) {
    for (const auto& label : series.labels()) {
      if (label.name() == "sender" && label.value() == name) return true;
    }
  }
  return false;
}

TEST(Refusal, AFinalAnswerDropsItsBlocksCountedAndNothingElse) {
  const uint64_t seed = test_seed();
  TempDir dir;
  Sink picky("picky", seed), easy("easy", seed);
  std::atomic<int> status = 400;
  picky.judge([&](const HttpMessage&, const prometheus::WriteRequest& request) {
    return from_sender(request, "green-0") ? status.load() : 0;
  });
  Gateway gateway(dir.path());
  Topology topology;
  topology.sources = kThreeSources;
  gateway.configure(topology.to(picky, kQuickRetry).to(easy, kQuickRetry).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  Senders senders;
  for (const char* source : {"blue", "green", "ops"}) {
    add_senders(senders, source, 2, gateway.port(), seed);
  }
  start(all(senders));
  for (const int final_status : {400, 409, 422}) {
    status = final_status;
    wait_for_progress(all(senders), 20);
  }
  stop(all(senders));
  std::vector<const Sender*> liked;
  const Sender* disliked = nullptr;
  for (const auto& sender : senders) {
    if (sender->options().name == "green-0") {
      disliked = sender.get();
    } else {
      liked.push_back(sender.get());
    }
  }
  wait_for_everything(liked, {&picky});
  wait_for_everything(all_const(senders), {&easy});
  const Ledger ledger = expect_ledger_closes(gateway.admin_port(), {"picky", "easy"}, true);
  expect_delivered(liked, {&picky}, {.repeats = false});
  expect_delivered(all_const(senders), {&easy}, {.repeats = false});

  // green-0 is the only sender of its tenant.
  const LedgerEntry& refused = ledger.at({"picky", disliked->options().tenant});
  EXPECT_EQ(refused.dropped, refused.accepted) << render(refused);
  const Scrape metrics = scrape(gateway.admin_port());
  EXPECT_EQ(metrics.sum("tollgate_dropped_samples_total",
                        {{"destination", "picky"}, {"reason", "refused"}}),
            static_cast<double>(refused.dropped));
  EXPECT_EQ(metrics.sum("tollgate_dropped_samples_total", {{"destination", "easy"}}), 0);
  for (const char* code : {"400", "409", "422"}) {
    EXPECT_GT(metrics.sum("tollgate_destination_requests_total",
                          {{"destination", "picky"}, {"code", code}}),
              0)
        << code;
  }
  gateway.stop_gracefully();
}

TEST(Refusal, TooLargeIsSplitUntilItFits) {
  const uint64_t seed = test_seed();
  TempDir dir;
  constexpr size_t kLimit = 6000;
  Sink small("small", seed), large("large", seed);
  small.judge([](const HttpMessage& message, const prometheus::WriteRequest&) {
    return message.body.size() > kLimit ? 413 : 0;
  });
  small.vanish();  // so that much has come together when it is back
  Gateway gateway(dir.path());
  Topology topology;
  gateway.configure(topology.to(small, kQuickRetry).to(large, kQuickRetry).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  SenderOptions options;
  options.port = gateway.port();
  options.name = "s";
  options.padding = 1000;
  options.series = 20;  // a single request of 20 kB is too large as well
  Sender sender(options);
  sender.start();
  wait_for_progress({&sender}, 30);
  small.come_back();
  wait_for_progress({&sender}, 30);
  sender.stop();
  wait_for_everything({&sender}, {&small, &large});
  expect_delivered({&sender}, {&small, &large});
  expect_delivered({&sender}, {&large}, {.repeats = false});
  EXPECT_GT(small.answered(413), 0u);
  EXPECT_LE(small.largest_body(), kLimit);
  const Ledger ledger = expect_ledger_closes(gateway.admin_port(), {"small", "large"});
  EXPECT_EQ(ledger.at({"small", "default"}).delivered, ledger.at({"large", "default"}).delivered);
  gateway.stop_gracefully();
}

// 401, 403 and 404 mean that we are misconfigured: nothing is dropped.
TEST(Refusal, MisconfigurationHoldsTheLaneAndDropsNothing) {
  const uint64_t seed = test_seed();
  TempDir dir;
  Sink closed("closed", seed), open("open", seed);
  closed.set({.kind = Fault::Kind::kStatus, .status = 401});
  Gateway gateway(dir.path());
  Topology topology;
  gateway.configure(topology.to(closed, kQuickRetry).to(open, kQuickRetry).yaml(gateway));
  ASSERT_NO_FATAL_FAILURE(gateway.start_ready());
  SenderOptions options;
  options.port = gateway.port();
  options.name = "s";
  Sender sender(options);
  sender.start();
  wait_for_progress({&sender}, 20);
  ASSERT_TRUE(eventually(in(milliseconds(20'000)), [&] { return closed.answered(401) > 0; }));
  wait_for_progress({&sender}, 20);
  sender.stop();
  wait_for_everything({&sender}, {&open});
  const Scrape metrics = scrape(gateway.admin_port());
  EXPECT_EQ(metrics.sum("tollgate_dropped_samples_total"), 0);
  EXPECT_EQ(metrics.sum("tollgate_pending_samples", {{"destination", "closed"}}),
            metrics.sum("tollgate_accepted_samples_total"));
  closed.set({});
  wait_for_everything({&sender}, {&closed});
  expect_delivered({&sender}, {&open, &closed}, {.repeats = false});
  expect_ledger_closes(gateway.admin_port(), {"open", "closed"});
  gateway.stop_gracefully();
}

}  // namespace
}  // namespace tollgate::e2e
