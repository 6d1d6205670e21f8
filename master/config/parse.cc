#include "master/config/parse.h"

#include "master/config/document.h"
#include "master/config/problems.h"
#include "master/config/read.h"
#include "master/config/tls.h"
#include "master/config/validate.h"

namespace sluice::config {

const std::string_view kMinimalConfiguration =
    R"([cluster.shop]
servers = { db1 = "10.0.0.11:3306", db2 = "10.0.0.12:3306" }
account = { user = "sluice", password_file = "/etc/sluice/shop.password" }

[service.shop]
cluster = "shop"
router  = "connection"
listen  = ["127.0.0.1:3306"])";

ipc::ParsedConfig parse(const Inputs& inputs) {
  std::vector<std::string> names;
  for (const Source& source : inputs.sources) names.push_back(source.name);
  Problems problems(std::move(names));

  Node root;
  bool whole = true;
  for (uint32_t i = 0; i < inputs.sources.size(); ++i) {
    const Source& source = inputs.sources[i];
    if (!source.error.empty()) {
      problems.error({i, 0, 0}, "", source.error);
      whole = false;
    } else if (auto document = parse_document(source.text, i)) {
      merge(root, std::move(*document), problems);
    } else {
      problems.error(document.error().at, "", document.error().text, document.error().hint);
      whole = false;
    }
  }

  Places places;
  ipc::ParsedConfig parsed;
  parsed.config = read(root, inputs, places, problems);
  read_tls(parsed.config, inputs, places, problems);
  validate(parsed.config, places, whole ? Completeness::whole : Completeness::partial, problems);
  parsed.problems = problems.sorted();
  return parsed;
}

}  // namespace sluice::config
