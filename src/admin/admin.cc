#include "admin/admin.h"

#include <algorithm>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "admin/json.h"
#include "admin/ledger.h"
#include "base/check.h"

namespace tollgate::admin {
namespace {

constexpr std::string_view kJson = "application/json";

net::Response plain(int status, std::string sentence) {
  net::Response out;
  out.status = status;
  out.body = std::move(sentence) + "\n";
  return out;
}

net::Response json_answer(boost::json::value data) {
  net::Response out;
  out.body = success(std::move(data));
  out.content_type = kJson;
  return out;
}

// An error in the form that the path's readers expect.
net::Response refuse(std::string_view path, int status, std::string_view error_type,
                     std::string sentence) {
  if (path.substr(0, 5) != "/api/") return plain(status, std::move(sentence));
  net::Response out;
  out.status = status;
  out.body = failure(error_type, sentence);
  out.content_type = kJson;
  return out;
}

}  // namespace

struct Admin::Route {
  enum class Methods { kRead, kAct };
  std::string_view path;
  Methods methods;
  net::Response (Admin::*answer)();
  bool may_block = false;  // then it runs on the worker
  std::string_view about;  // for the index page

  bool allows(std::string_view method) const {
    return methods == Methods::kRead ? method == "GET" || method == "HEAD"
                                     : method == "POST" || method == "PUT";
  }
};

const std::vector<Admin::Route>& Admin::routes() {
  using enum Route::Methods;
  static const std::vector<Route> kRoutes = {
      {"/", kRead, &Admin::index, false, ""},
      {"/metrics", kRead, &Admin::metrics, false, "the gateway's own metrics"},
      {"/-/healthy", kRead, &Admin::healthy, false, "is the process alive"},
      {"/-/ready", kRead, &Admin::ready, false, "does it take requests"},
      {"/-/reload", kAct, &Admin::reload, true, ""},
      {"/api/v1/status/ledger", kRead, &Admin::ledger, false,
       "accepted = delivered + dropped + pending, by destination and tenant"},
      {"/api/v1/sources", kRead, &Admin::sources, false, "who sends"},
      {"/api/v1/tenants", kRead, &Admin::tenants, false, "whose data it is"},
      {"/api/v1/destinations", kRead, &Admin::destinations, false, "where it goes and how that is"},
      // Waits for a reload in progress.
      {"/api/v1/status/config", kRead, &Admin::config, true, "the configuration in use"},
      {"/api/v1/status/flags", kRead, &Admin::flags, false, "the command line"},
      {"/api/v1/status/buildinfo", kRead, &Admin::build, false, "version and revision"},
  };
  return kRoutes;
}

const Admin::Route* Admin::find(std::string_view path) {
  const auto& all = routes();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Route& route) { return route.path == path; });
  return found == all.end() ? nullptr : &*found;
}

Admin::Admin(metrics::Registry& registry, AdminHooks hooks, const Clock& clock)
    : registry_(registry), hooks_(std::move(hooks)), clock_(clock) {
  TG_CHECK(hooks_.not_ready && hooks_.reload && hooks_.config_yaml && hooks_.flags &&
           hooks_.ledger && hooks_.streams && hooks_.stats && hooks_.sources &&
           hooks_.destinations);
  register_ledger_metrics(registry_, hooks_);
}

Admin::~Admin() { worker_.join(); }

std::optional<net::Response> Admin::on_head(net::Loop&, const net::RequestHead& head,
                                            uint64_t& max_body) {
  max_body = kMaxBody;
  const Route* route = find(head.path);
  if (route == nullptr) {
    return refuse(head.path, 404, "not_found", "no such path: " + std::string(head.path));
  }
  if (route->allows(head.method)) return std::nullopt;
  const bool acts = route->methods == Route::Methods::kAct;
  net::Response answer =
      refuse(head.path, 405, "bad_data",
             acts ? "Only POST or PUT requests allowed" : "Only GET or HEAD requests allowed");
  answer.headers.emplace_back("Allow", acts ? "POST, PUT" : "GET, HEAD");
  return answer;
}

net::Task<net::Response> Admin::on_request(net::Loop& loop, const net::RequestHead& head, Buffer&) {
  const Route* route = find(head.path);
  TG_CHECK(route != nullptr);  // on_head has answered otherwise
  if (!route->may_block) co_return (this->*route->answer)();
  std::function<net::Response()> work = [this, route] { return (this->*route->answer)(); };
  net::Response answer = co_await in_worker(loop, std::move(work));
  co_return answer;
}

net::Task<net::Response> Admin::in_worker(net::Loop& loop, std::function<net::Response()> work) {
  using Timer =
      boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                        boost::asio::wait_traits<std::chrono::steady_clock>,
                                        net::Executor>;
  struct Wait {
    explicit Wait(net::Loop& l) : timer(l.context()) {}
    Timer timer;  // never expires; cancelled when the answer is there
    std::optional<net::Response> answer;
  };
  auto wait = std::make_shared<Wait>(loop);
  wait->timer.expires_at(std::chrono::steady_clock::time_point::max());
  boost::asio::post(worker_, [work = std::move(work), wait, &context = loop.context()] {
    auto answer = std::make_shared<net::Response>(work());
    boost::asio::post(context, [wait, answer] {
      wait->answer = std::move(*answer);
      wait->timer.cancel();
    });
  });
  boost::system::error_code ignored;  // the wait ends by being cancelled
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable_t<net::Executor>{}, ignored);
  while (!wait->answer) co_await wait->timer.async_wait(token);
  co_return std::move(*wait->answer);
}

net::Response Admin::too_large(const net::RequestHead& head, uint64_t max_body) {
  return refuse(
      head.path, 413, "bad_data",
      "the body is larger than " + std::to_string(max_body) + " bytes; this endpoint needs none");
}

bool Admin::reserve(uint64_t bytes) {
  if (reserved_.fetch_add(bytes) + bytes <= kMaxBodies) return true;
  reserved_.fetch_sub(bytes);
  return false;
}

void Admin::release(uint64_t bytes) { reserved_.fetch_sub(bytes); }

net::Response Admin::overloaded(const net::RequestHead& head) {
  net::Response answer =
      refuse(head.path, 503, "unavailable", "too many requests with bodies at the same time");
  answer.headers.emplace_back("Retry-After", "1");
  return answer;
}

net::Response Admin::healthy() { return plain(200, "Tollgate is Healthy."); }

net::Response Admin::ready() {
  if (const auto reason = hooks_.not_ready()) {
    return plain(503, "Tollgate is not ready: " + *reason + ".");
  }
  return plain(200, "Tollgate is Ready.");
}

net::Response Admin::reload() {
  if (const Status done = hooks_.reload(); !done) return plain(500, done.error().message);
  return plain(200, "The configuration is reloaded.");
}

net::Response Admin::metrics() {
  net::Response out;
  out.body = registry_.text();
  out.content_type = "text/plain; version=0.0.4; charset=utf-8";
  return out;
}

net::Response Admin::config() { return json_answer(config_json(hooks_.config_yaml())); }
net::Response Admin::build() { return json_answer(build_json()); }
net::Response Admin::flags() { return json_answer(flags_json(hooks_.flags())); }
net::Response Admin::ledger() { return json_answer(ledger_json(take_ledger(hooks_))); }

net::Response Admin::sources() {
  return json_answer(sources_json(hooks_.sources(), take_ledger(hooks_)));
}

net::Response Admin::tenants() { return json_answer(tenants_json(take_ledger(hooks_))); }

net::Response Admin::destinations() {
  return json_answer(
      destinations_json(hooks_.destinations(), take_ledger(hooks_), clock_.now_ms()));
}

net::Response Admin::index() {
  net::Response out;
  out.content_type = "text/html; charset=utf-8";
  out.body =
      "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
      "<title>Tollgate</title></head>\n<body>\n<h1>Tollgate</h1>\n<ul>\n";
  for (const Route& route : routes()) {
    if (route.about.empty()) continue;
    const std::string path(route.path);
    out.body +=
        "<li><a href=\"" + path + "\">" + path + "</a>: " + std::string(route.about) + "</li>\n";
  }
  out.body += "</ul>\n</body>\n</html>\n";
  return out;
}

}  // namespace tollgate::admin
