#include "config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

namespace tollgate::config {
namespace {

Error invalid(std::string message) { return our_error(Code::kInvalid, std::move(message)); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Reads digits from the front of `text`; false if there are none or they do not fit.
bool take_number(std::string_view& text, uint64_t& out) {
  size_t used = 0;
  uint64_t value = 0;
  for (; used < text.size() && is_digit(text[used]); used++) {
    const auto digit = static_cast<uint64_t>(text[used] - '0');
    if (value > (std::numeric_limits<uint64_t>::max() - digit) / 10) return false;
    value = value * 10 + digit;
  }
  text.remove_prefix(used);
  out = value;
  return used > 0;
}

struct TimeUnit {
  std::string_view name;
  int64_t ms;
};
// Longest first, as Prometheus requires them in a duration.
constexpr std::array<TimeUnit, 7> kTimeUnits = {{{"y", 365ll * 86'400'000},
                                                 {"w", 7ll * 86'400'000},
                                                 {"d", 86'400'000},
                                                 {"h", 3'600'000},
                                                 {"m", 60'000},
                                                 {"s", 1000},
                                                 {"ms", 1}}};

// So that a duration can be turned into nanoseconds without overflow.
constexpr int64_t kLongestDuration = 100 * kTimeUnits[0].ms;

constexpr std::string_view kSizePrefixes = "KMGTPE";

bool host_is_plausible(std::string_view host) {
  return std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
  });
}

bool ipv6_is_plausible(std::string_view host) {
  return host.find(':') != std::string_view::npos &&
         std::all_of(host.begin(), host.end(),
                     [](unsigned char c) { return std::isxdigit(c) != 0 || c == ':' || c == '.'; });
}

bool parse_port(std::string_view text, uint16_t& out) {
  uint64_t port = 0;
  if (text.size() > 5 || !take_number(text, port) || !text.empty() || port > 65535) return false;
  out = static_cast<uint16_t>(port);
  return true;
}

}  // namespace

Result<milliseconds> parse_duration(const std::string& text) {
  const auto wrong = [&] {
    return invalid(
        fmt::format("\"{}\" is not a duration; write it like 500ms, 30s or 1h30m", text));
  };
  if (text == "0") return milliseconds{0};
  std::string_view rest = text;
  if (rest.empty()) return wrong();
  int64_t total = 0;
  size_t next_unit = 0;
  while (!rest.empty()) {
    uint64_t number = 0;
    if (!take_number(rest, number)) return wrong();
    size_t letters = 0;
    while (letters < rest.size() && !is_digit(rest[letters])) letters++;
    const std::string_view unit = rest.substr(0, letters);
    rest.remove_prefix(letters);
    while (next_unit < kTimeUnits.size() && kTimeUnits[next_unit].name != unit) next_unit++;
    if (next_unit == kTimeUnits.size()) return wrong();
    const int64_t factor = kTimeUnits[next_unit++].ms;
    int64_t part = 0;
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) ||
        __builtin_mul_overflow(static_cast<int64_t>(number), factor, &part) ||
        __builtin_add_overflow(total, part, &total) || total > kLongestDuration) {
      return invalid(fmt::format("\"{}\" is too long a duration; 100y is the longest", text));
    }
  }
  return milliseconds{total};
}

Result<uint64_t> parse_size(const std::string& text) {
  const auto wrong = [&] {
    return invalid(fmt::format(
        "\"{}\" is not a size; write it like 512KB, 32MB or 16GB (powers of two)", text));
  };
  std::string_view rest = text;
  uint64_t number = 0;
  if (!take_number(rest, number)) return wrong();
  if (rest.empty() || rest == "B") return number;
  const size_t power = kSizePrefixes.find(rest[0]);
  if (power == std::string_view::npos) return wrong();
  rest.remove_prefix(1);
  if (rest != "B" && rest != "iB") return wrong();
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(number, uint64_t{1} << (10 * (power + 1)), &bytes)) {
    return invalid(fmt::format("\"{}\" is too large a size", text));
  }
  return bytes;
}

Result<Address> parse_address(const std::string& text) {
  const auto wrong = [&] {
    return invalid(
        fmt::format("\"{}\" is not an address; write host:port, :port or [IPv6]:port", text));
  };
  Address address;
  std::string_view rest = text;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong();
    address.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!ipv6_is_plausible(address.host)) return wrong();
  } else {
    const size_t colon = rest.find(':');
    if (colon == std::string_view::npos) return wrong();
    address.host = rest.substr(0, colon);
    rest.remove_prefix(colon);
    if (!host_is_plausible(address.host)) return wrong();
  }
  if (!rest.starts_with(':') || !parse_port(rest.substr(1), address.port)) return wrong();
  return address;
}

Result<Url> parse_url(const std::string& text) {
  // The text itself is repeated only after we know that it carries no password.
  const size_t colon = text.find("://");
  if (colon == std::string::npos) {
    return invalid("must be a URL that starts with http:// or https://");
  }
  Url url;
  url.text = text;
  url.scheme = text.substr(0, colon);
  std::transform(url.scheme.begin(), url.scheme.end(), url.scheme.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::string_view rest = std::string_view(text).substr(colon + 3);
  const size_t path = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, path);
  std::string_view target = rest.substr(path);
  if (authority.find('@') != std::string_view::npos) {
    return invalid("must not carry user info; use basic_auth");
  }
  if (!is_visible_ascii(text)) {
    return invalid("must be printable ASCII without spaces; percent-encode other characters");
  }
  if (url.scheme != "http" && url.scheme != "https") {
    return invalid(fmt::format("has the unknown scheme \"{}\"; use http or https", url.scheme));
  }
  if (target.find('#') != std::string_view::npos) {
    return invalid(
        fmt::format("\"{}\" has a fragment (#…), which cannot be sent; remove it", text));
  }
  url.port = url.scheme == "https" ? 443 : 80;
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos || !ipv6_is_plausible(authority.substr(1, end - 1))) {
      return invalid(fmt::format("\"{}\" has a malformed IPv6 address", text));
    }
    url.host = authority.substr(1, end - 1);
    authority.remove_prefix(end + 1);
  } else {
    const size_t end = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, end);
    authority.remove_prefix(end);
    if (!host_is_plausible(url.host)) {
      return invalid(fmt::format("\"{}\" has a malformed host", text));
    }
  }
  if (url.host.empty()) return invalid(fmt::format("\"{}\" has no host", text));
  if (!authority.empty() && (!authority.starts_with(':') ||
                             !parse_port(authority.substr(1), url.port) || url.port == 0)) {
    return invalid(fmt::format("\"{}\" has a malformed port; it is a number up to 65535", text));
  }
  url.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
  return url;
}

std::string format_duration(milliseconds duration) {
  int64_t rest = duration.count();
  if (rest == 0) return "0s";
  std::string out;
  for (size_t i = 0; i < kTimeUnits.size(); i++) {
    const auto& unit = kTimeUnits[i];
    // Years, weeks and days only where nothing remains, as Prometheus prints them.
    const bool calendar = i < 3;
    if (calendar && rest % unit.ms != 0) continue;
    if (rest / unit.ms == 0) continue;
    out += fmt::format("{}{}", rest / unit.ms, unit.name);
    rest %= unit.ms;
  }
  return out;
}

std::string format_size(uint64_t bytes) {
  size_t power = 0;
  uint64_t number = bytes;
  while (number != 0 && number % 1024 == 0 && power < kSizePrefixes.size()) {
    number /= 1024;
    power++;
  }
  if (power == 0) return fmt::format("{}B", number);
  return fmt::format("{}{}B", number, kSizePrefixes[power - 1]);
}

std::string format_address(const Address& address) {
  if (address.host.find(':') != std::string::npos) {
    return fmt::format("[{}]:{}", address.host, address.port);
  }
  return fmt::format("{}:{}", address.host, address.port);
}

bool is_http_token(std::string_view text) {
  constexpr std::string_view kSpecial = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return c < 0x80 &&
           (std::isalnum(c) != 0 || kSpecial.find(static_cast<char>(c)) != std::string_view::npos);
  });
}

bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

bool is_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t more = 0;
    uint32_t point = lead;
    if (lead >= 0xf8) return false;
    if (lead >= 0xf0) {
      more = 3;
      point = lead & 0x07u;
    } else if (lead >= 0xe0) {
      more = 2;
      point = lead & 0x0fu;
    } else if (lead >= 0xc0) {
      more = 1;
      point = lead & 0x1fu;
    } else if (lead >= 0x80) {
      return false;
    }
    if (text.size() - i <= more) return false;
    for (size_t k = 1; k <= more; k++) {
      const auto c = static_cast<unsigned char>(text[i + k]);
      if ((c & 0xc0u) != 0x80) return false;
      point = (point << 6) | (c & 0x3fu);
    }
    constexpr uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};  // longer forms are overlong
    if (point < kSmallest[more] || point > 0x10ffff) return false;
    if (point >= 0xd800 && point <= 0xdfff) return false;  // a surrogate
    i += more + 1;
  }
  return true;
}

bool looks_like_bcrypt(std::string_view text) {
  return text.starts_with("$2$") ||
         (text.size() >= 4 && text.starts_with("$2") && text[3] == '$' &&
          std::string_view("abxy").find(text[2]) != std::string_view::npos);
}

std::string bcrypt_problem(std::string_view hash) {
  constexpr size_t kLength = 60;      // "$2b$12$" + 22 characters of salt + 31 of hash
  constexpr uint64_t kMostCost = 16;  // about 4 s a check; each step doubles it
  if (!looks_like_bcrypt(hash)) {
    return "is not a bcrypt hash; make one with htpasswd -nbB <user> <password>";
  }
  if (hash[2] != 'a' && hash[2] != 'b' && hash[2] != 'y') {
    return "is a bcrypt hash of a broken old kind; make a $2b$ or $2y$ one";
  }
  constexpr std::string_view kAlphabet = "./";
  const bool body_ok =
      hash.size() == kLength && is_digit(hash[4]) && is_digit(hash[5]) && hash[6] == '$' &&
      std::all_of(hash.begin() + 7, hash.end(), [&](unsigned char c) {
        return c < 0x80 && (std::isalnum(c) != 0 ||
                            kAlphabet.find(static_cast<char>(c)) != std::string_view::npos);
      });
  if (!body_ok) return "is a malformed bcrypt hash: it has 60 characters, $2b$NN$ and 53 more";
  const auto cost = static_cast<uint64_t>((hash[4] - '0') * 10 + (hash[5] - '0'));
  if (cost < 4 || cost > kMostCost) {
    return fmt::format("is a bcrypt hash of cost {}; a cost from 4 to {} is supported", cost,
                       kMostCost);
  }
  return "";
}

}  // namespace tollgate::config
