// Replies as people and scripts read them. The only place where a Table becomes text.
#pragma once

#include <string>

#include "common/ipc/messages.h"

namespace sluice::ctl {

/// For people. A list has a header line (alone if it is empty), two spaces between columns, numbers
/// to the right, "-" for what is empty or unknown, and is never cut to the width of a terminal. A
/// record is "key: value" lines. The message, if there is one, comes last.
std::string to_text(const ipc::ControlReply& reply);

/// For scripts. A list is an array of objects, a record an object, a reply without a table
/// {"message": "..."}; beside a table the message is for people and left out. Numbers and booleans
/// are what they are in JSON, null when unknown.
std::string to_json(const ipc::ControlReply& reply);

}  // namespace sluice::ctl
