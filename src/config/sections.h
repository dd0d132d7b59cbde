#pragma once

#include <vector>

#include "config/document.h"

// The two long sections of the file; the short ones are read where they are used, in load.cc.
namespace tollgate::config {

// `sources`: checks each, and that none is named twice or cannot be reached.
std::vector<Source> read_sources(Map& root);

// `remote_write`: checks each, and that none is named twice.
std::vector<RemoteWrite> read_remote_write(Map& root);

// A name of a source or destination: it shows up in metrics, logs and the journal.
std::string name_problem(const std::string& name);

}  // namespace tollgate::config
