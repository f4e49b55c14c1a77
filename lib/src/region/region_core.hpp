// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/call_time.hpp"
#include "peermr/region.hpp"
#include "region/invalidate_source.hpp"
#include "base/read_section.hpp"
#include "region/registrar.hpp"
#include "vfio/memory_events.hpp"

namespace peermr::detail {

struct RegionConfig {
  std::string name;
  std::uint64_t length_bytes = 0;
  Iova address;
  RevokePolicy on_revoke = RevokePolicy::kPause;
  KeyPolicy keys = KeyPolicy::kStable;
  BackOff back_off = {};
  std::function<void(const RegionEvent&)> on_event = {};
};

/// The logic of a Region, on a Registrar that tests replace.
///
/// Readers go by `published_` alone; everything that changes it, but for report_completion(), holds
/// `mutex_`. Nobody who holds a lease waits for `mutex_`: that is refused before.
class RegionCore final : public MemoryObserver, public Watcher {
 public:
  /// Subscribes to `events` (null: nobody tells) as a user of `part`, and to the monitor by
  /// `subscribe` (null: there is none), and registers. Errors: see Region::create().
  [[nodiscard]] static Result<std::shared_ptr<RegionCore>> create(
      std::unique_ptr<Registrar> registrar, std::shared_ptr<MemoryEvents> events,
      RegionConfig config, const std::shared_ptr<const MemoryPart>& part = nullptr,
      const Subscribe& subscribe = nullptr);

  RegionCore(std::unique_ptr<Registrar> registrar, RegionConfig config);
  ~RegionCore() override;

  Lease lease() const noexcept {
    // Inline: Region::lease() is then one call.
    if (!enter_quickly()) [[unlikely]]
      return lease_otherwise();
    const RegionKeys* keys = published_.load(std::memory_order_acquire);
    if (keys == nullptr) [[unlikely]]
      leave_section();
    return Lease(keys, &t_sections);
  }
  [[nodiscard]] RegionState state() const noexcept;
  [[nodiscard]] Generation generation() const noexcept { return Generation(generation_.load()); }
  [[nodiscard]] KeyEpoch key_epoch() const noexcept { return KeyEpoch(key_epoch_.load()); }
  [[nodiscard]] const std::string& name() const noexcept { return config_.name; }
  [[nodiscard]] const verbs::RdmaDevice& importer() const noexcept {
    return registrar_->importer();
  }

  CompletionVerdict report_completion(ibv_wc_status status, Generation posted_in) noexcept;
  Result<void> recover(std::optional<std::chrono::nanoseconds> limit);
  Result<void> release_keys_before(KeyEpoch epoch);
  Result<void> close();

  Result<void> quiesce() override;
  Comeback restore() override;
  Comeback resume() override;
  void gone() override;

  void invalidated(std::uint64_t total) override;
  std::optional<std::chrono::steady_clock::time_point> look() override;

 private:
  using Lock = std::unique_lock<std::mutex>;
  struct Held {
    Registration registration;
    KeyEpoch epoch;
  };
  /// How long to go on trying after a sign that the memory may be back.
  struct Attempts {
    std::uint64_t invalidates = 0;  // the sign
    std::chrono::steady_clock::time_point deadline;
    std::chrono::nanoseconds pause{};
    bool over = false;
  };

  Lease lease_otherwise() const noexcept;
  Result<void> register_first();
  Result<void> bring_back(Lock& lock, std::chrono::nanoseconds limit, Comeback& comeback);
  Result<void> try_once();
  Comeback come_back(bool was_away);
  Result<void> register_again();
  Result<void> end_key();
  [[nodiscard]] std::uint64_t count_invalidates();
  [[nodiscard]] std::chrono::nanoseconds in_kernel() const noexcept;
  Result<void> lose_memory();
  Result<void> lose_memory_to_others();
  std::optional<std::chrono::steady_clock::time_point> attempt();
  [[nodiscard]] bool keeps_key() const noexcept;
  void publish();
  void unpublish();
  Result<void> die();
  void change_state(RegionState state, const Error* error = nullptr);
  void announce(RegionState state, const Error* error) const noexcept;

  const std::unique_ptr<Registrar> registrar_;
  const RegionConfig config_;

  // What leases read: null while there are no keys. Points to *keys_.
  std::atomic<const RegionKeys*> published_{nullptr};
  // Live here and nothing published: report_completion() took the keys away.
  std::atomic<RegionState> state_{RegionState::kRestoring};
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<std::uint64_t> key_epoch_{0};

  // Protects what follows and all changes of state; held while the Registrar works, released while
  // waiting between two attempts.
  std::mutex mutex_;
  std::condition_variable changed_;  // state or revokes_ changed: no use waiting on
  std::unique_ptr<const RegionKeys> keys_;
  std::optional<Held> current_;
  std::vector<Held> old_;  // keys of older epochs that stay reserved
  bool key_is_dead_ = false;  // the current one, by a revoke since it was made
  std::uint64_t revokes_ = 0;
  std::uint64_t seen_ = 0;   // invalidates when the keys were made: more, and they are stale
  bool owner_acts_ = false;  // between quiesce() and what follows it: no use looking
  bool made_ = false;        // by register_first(): until then others tell, and it alone acts
  std::optional<Attempts> attempts_;
  CallTime counting_;

  // Null: no monitor. Set once, before made_: users of the region need no mutex to see it.
  std::unique_ptr<InvalidateSource> source_;
};

}  // namespace peermr::detail
