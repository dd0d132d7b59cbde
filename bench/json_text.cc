#include "json_text.h"

#include <boost/json.hpp>
#include <cstdio>

namespace tollgate::bench {
namespace {

void append(const boost::json::value& value, std::string& out) {
  switch (value.kind()) {
    case boost::json::kind::object: {
      const char* between = "{";
      for (const auto& [key, member] : value.get_object()) {
        out.append(between).append(boost::json::serialize(key)).append(":");
        append(member, out);
        between = ",";
      }
      out.append(value.get_object().empty() ? "{}" : "}");
      break;
    }
    case boost::json::kind::array: {
      const char* between = "[";
      for (const auto& element : value.get_array()) {
        out.append(between);
        append(element, out);
        between = ",";
      }
      out.append(value.get_array().empty() ? "[]" : "]");
      break;
    }
    case boost::json::kind::double_: {
      char text[40];
      std::snprintf(text, sizeof text, "%.9g", value.get_double());
      out.append(text);
      break;
    }
    default:
      out.append(boost::json::serialize(value));
  }
}

}  // namespace

std::string json_text(const boost::json::value& value) {
  std::string out;
  append(value, out);
  return out;
}

}  // namespace tollgate::bench
