// SPDX-License-Identifier: BSD-2-Clause
#include "soak/report.hpp"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

namespace soak {
namespace {

struct Figure {
  std::string_view name;
  std::uint64_t value;
};

void print(const std::vector<Figure>& figures) {
  const char* separator = "{";
  for (const Figure& one : figures) {
    std::printf("%s\"%s\": %llu", separator, one.name.data(),
                static_cast<unsigned long long>(one.value));
    separator = ", ";
  }
  std::printf("}\n");
}

}  // namespace

bool report(const Counts& counts, const Totals& totals, bool has_streams, bool has_connections,
            std::size_t files_left) {
  const std::vector<Figure> must_be_none = {
      {"missing", counts.missing},   {"twice", counts.twice},   {"wrong", counts.wrong},
      {"intruded", counts.intruded}, {"stuck", counts.stuck},   {"unexplained", counts.unexplained},
      {"failures", totals.failures}, {"files_left", files_left}};
  std::vector<Figure> must_happen = {{"writes", counts.writes},
                                     {"reads", counts.reads},
                                     {"verified", counts.verified},
                                     {"invalidates", totals.invalidates},
                                     {"generations", totals.generations}};
  std::vector<Figure> may_happen;
  for (const Figure& one : {Figure{"messages", counts.messages}, {"places", counts.places}}) {
    (has_connections ? must_happen : may_happen).push_back(one);
  }
  (has_streams ? must_happen : may_happen).push_back({"intrusions", counts.intrusions});
  std::vector<Figure> figures = must_be_none;
  figures.push_back({"operations", counts.writes + counts.reads + counts.messages + counts.places});
  figures.insert(figures.end(), must_happen.begin(), must_happen.end());
  figures.insert(figures.end(), may_happen.begin(), may_happen.end());
  figures.insert(figures.end(), {{"errors", counts.errors},
                                 {"given_back", counts.given_back},
                                 {"reconnections", counts.reconnections}});
  bool happened = true;
  for (const Kind kind : kKinds) {
    const auto index = static_cast<std::size_t>(kind);
    figures.push_back({to_string(kind), totals.done[index]});
    happened = happened && (totals.done[index] > 0 || !totals.possible[index]);
  }
  print(figures);
  for (const Figure& one : must_happen) happened = happened && one.value > 0;
  if (!happened) std::printf("FAILED: something never happened\n");
  return happened && std::all_of(must_be_none.begin(), must_be_none.end(),
                                 [](const Figure& one) { return one.value == 0; });
}

}  // namespace soak
