#pragma once

#include <boost/json/fwd.hpp>
#include <string>

namespace tollgate::bench {

// JSON on one line, with numbers as people write them ("4.003", where Boost says "4.003E0").
std::string json_text(const boost::json::value& value);

}  // namespace tollgate::bench
