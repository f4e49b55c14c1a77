// SPDX-License-Identifier: BSD-2-Clause
#include <optional>
#include <thread>

#include "events/event.hpp"

namespace events_test {

using namespace std::chrono_literals;
using revoke_test::Clock;
using revoke_test::Traffic;

namespace {

// Longer than any event here may keep its caller.
const auto kPatience = 20s * guest_test::time_scale();

std::string word(std::optional<bool> worked) {
  if (!worked) return "none";
  return *worked ? "ok" : "SIGBUS";
}

// What was reached at one moment.
struct Moment {
  std::uint64_t callbacks = 0;
  std::string traffic, buffer, bar, state;
};

Moment look(const Scene& scene) {
  Moment moment;
  moment.callbacks = scene.subject.callbacks();
  // Of those in flight all may have been done before, with nobody having looked.
  moment.traffic = scene.load.progress(Traffic::kSlots + 1, 400ms) ? "flows" : "waits";
  moment.buffer = word(scene.subject.access_buffer());
  moment.bar = word(scene.subject.access_bar());
  moment.state = scene.subject.state();
  return moment;
}

void append(std::string& text, const std::string& more) {
  if (!text.empty()) text += "; ";
  text += more;
}

// An event of one action: what could be seen while it went on.
Moment look_back(const Scene& scene, const Sampler& sampler, std::uint64_t naks) {
  Moment moment;
  moment.callbacks = scene.subject.callbacks();
  moment.traffic = scene.load.naks() > naks ? "waits" : "flows";
  moment.buffer =
      word(sampler.buffer_faulted() ? std::optional(false) : scene.subject.access_buffer());
  moment.bar = word(sampler.bar_faulted() ? std::optional(false) : scene.subject.access_bar());
  moment.state = scene.subject.state();
  return moment;
}

std::string data_after(Scene& scene, std::string& wrong) {
  if (scene.subject.closed() || scene.subject.access_bar() != true) return "-";
  const std::string lost = scene.load.verify(scene.subject.memory());
  const bool kept = scene.subject.pattern_kept();
  if (kept && !lost.empty()) append(wrong, lost);
  return kept ? "kept" : "changed";
}

}  // namespace

Outcome observe(const Event& event, Kind kind) {
  Outcome outcome;
  Subject subject(kind);
  subject.write_pattern();
  Load load(subject);
  Scene scene{subject, load};
  Moment first, last;
  const auto naks = load.naks(), forbidden = forbidden_dma();
  {
    const Sampler sampler(subject);
    std::this_thread::sleep_for(20ms);
    const auto begin = Clock::now();
    event.begin(scene);
    const auto took = Clock::now() - begin;
    outcome.begin_ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
    if (took > kPatience) append(outcome.wrong, "it took too long");
    if (event.end) {
      first = look(scene);
      event.end(scene);
    } else {
      first = look_back(scene, sampler, naks);
    }
    load.progress(2 * Traffic::kSlots, 2s);
    last = look(scene);
  }
  outcome.naks = event.importer_leaves ? 0 : load.naks() - naks;
  last.traffic = load.finish();
  if (event.writer_leaves) last.traffic = "-";
  outcome.error = load.error();
  if (event.importer_leaves) first.traffic = "-";
  // A NIC that left has begun to count anew.
  const auto now_forbidden = forbidden_dma();
  if (now_forbidden > (now_forbidden < forbidden ? 0 : forbidden)) outcome.seen.forbidden = "some";
  outcome.seen.data = data_after(scene, outcome.wrong);
  outcome.seen.callbacks =
      std::to_string(first.callbacks) + " " + std::to_string(last.callbacks - first.callbacks);
  outcome.seen.traffic = first.traffic + " " + last.traffic;
  outcome.seen.buffer = first.buffer + " " + last.buffer;
  outcome.seen.bar = first.bar + " " + last.bar;
  outcome.seen.state = first.state + " " + last.state;
  outcome.longest_wait_ms = load.longest_wait().count();
  if (!event.writer_leaves && !load.broken().empty()) append(outcome.wrong, load.broken());
  if (!load.deregister() && !event.importer_leaves) append(outcome.wrong, "the MR stays");
  const auto mappings = subject.mappings();
  if (mappings.value_or(0) != 0)
    append(outcome.wrong, std::to_string(*mappings) + " mappings are left");
  if (event.heal) event.heal(subject);
  return outcome;
}

}  // namespace events_test
