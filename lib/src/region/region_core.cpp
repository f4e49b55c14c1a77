// SPDX-License-Identifier: BSD-2-Clause
#include "region/region_core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/deadline.hpp"
#include "base/log.hpp"
#include "base/may_wait.hpp"
#include "base/read_section.hpp"

namespace peermr {

bool thread_holds_lease() noexcept {
  return detail::in_section();
}

namespace detail {
namespace {

using Clock = std::chrono::steady_clock;

// Registering for the first time may meet a restore that is under way; more than these attempts is
// a request that the kernel does not like.
constexpr int kFirstAttempts = 3;

// Completions that a revoke explains: the requester's own key was refused, the responder refused
// its key, or the responder kept asking to wait while its memory was away.
bool revoke_explains(ibv_wc_status status) noexcept {
  switch (status) {
    case IBV_WC_LOC_PROT_ERR:
    case IBV_WC_LOC_ACCESS_ERR:
    case IBV_WC_REM_ACCESS_ERR:
    case IBV_WC_REM_OP_ERR:
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return true;
    default:
      return false;
  }
}

}  // namespace

RegionCore::RegionCore(std::unique_ptr<Registrar> registrar, RegionConfig config)
    : registrar_(std::move(registrar)), config_(std::move(config)) {}

RegionCore::~RegionCore() {
  if (const auto closed = close(); !closed) {
    log(LogLevel::kWarning, "{}", closed.error().message());
  }
}

Result<std::shared_ptr<RegionCore>> RegionCore::create(
    std::unique_ptr<Registrar> registrar, std::shared_ptr<MemoryEvents> events, RegionConfig config,
    const std::shared_ptr<const MemoryPart>& part, const Subscribe& subscribe) {
  if (config.keys == KeyPolicy::kFresh && !registrar->ends_keys()) {
    return make_error(
        std::errc::not_supported, "make region", config.name,
        "fresh keys cannot be promised: the importer lets an old key in again as soon as the "
        "exporter restores the memory; export it here with the driver peermr_vfio or peermr_bar, "
        "which can take a buffer back for good, or use stable keys");
  }
  auto core = std::make_shared<RegionCore>(std::move(registrar), std::move(config));
  // First subscribe, then register: a revoke in between is noticed either way.
  const auto available = events ? events->subscribe(core, part) : MemoryEvents::State::kAvailable;
  if (available == MemoryEvents::State::kGone) {
    return make_error(Errc::kDead, "make region", core->name(), "the device is closed");
  }
  if (available == MemoryEvents::State::kRevoked) {
    return make_error(Errc::kRevoked, "make region", core->name(),
                      "memory decode of the device is off, or it is being reset");
  }
  if (subscribe) {
    auto source = subscribe(core);
    if (!source) return source.error();
    // The owner of the memory and the monitor know the region already.
    const Lock lock(core->mutex_);
    core->source_ = *std::move(source);
  }
  if (auto registered = core->register_first(); !registered) return registered.error();
  return core;
}

Result<void> RegionCore::register_first() {
  Lock lock(mutex_);
  for (int attempt = 1;; ++attempt) {
    if (revokes_ != 0 || state_ == RegionState::kDead) {
      return make_error(Errc::kRevoked, "make region", config_.name, "it was revoked meanwhile");
    }
    const std::uint64_t invalidates = count_invalidates();
    auto added = registrar_->add();
    if (added && count_invalidates() != invalidates) {
      if (auto removed = registrar_->remove(*added); !removed) return removed;
      if (attempt < kFirstAttempts) continue;
      added = make_error(Errc::kRevoked, "make region", config_.name, "it was revoked meanwhile");
    }
    if (added) {
      seen_ = invalidates;
      current_ = Held{*added, key_epoch()};
      made_ = true;
      publish();
      return {};
    }
    const Error& error = added.error();
    if (error.code() == Errc::kRevoked || !worth_another_attempt(error) ||
        attempt == kFirstAttempts) {
      return error;
    }
    changed_.wait_for(lock, config_.back_off.first);
  }
}

Lease RegionCore::lease_otherwise() const noexcept {
  enter_otherwise();
  const RegionKeys* keys = published_.load(std::memory_order_acquire);
  if (keys == nullptr) leave_section();
  return Lease(keys, &t_sections);
}

RegionState RegionCore::state() const noexcept {
  const RegionState state = state_.load();
  if (state == RegionState::kLive && published_.load() == nullptr) return RegionState::kRevoked;
  return state;
}

CompletionVerdict RegionCore::report_completion(ibv_wc_status status,
                                                Generation posted_in) noexcept {
  if (!revoke_explains(status)) return CompletionVerdict::kUnrelated;
  const Lease held = lease();
  if (!held) return CompletionVerdict::kRevoked;
  if (held->generation > posted_in) return CompletionVerdict::kStale;
  const RegionKeys* expected = &*held;
  if (published_.compare_exchange_strong(expected, nullptr)) {
    announce(RegionState::kRevoked, nullptr);
    if (source_) source_->ask();
  }
  return CompletionVerdict::kRevoked;
}

Result<void> RegionCore::quiesce() {
  if (auto may = may_wait("revoke", config_.name); !may) return may;
  const Lock lock(mutex_);
  ++revokes_;
  changed_.notify_all();
  if (state_ == RegionState::kDead) return {};
  owner_acts_ = true;
  return lose_memory();
}

Result<void> RegionCore::lose_memory() {
  if (config_.on_revoke == RevokePolicy::kFail) return die();
  unpublish();
  change_state(RegionState::kRevoked);
  return {};
}

Comeback RegionCore::restore() {
  return come_back(true);
}

Comeback RegionCore::resume() {
  return come_back(false);
}

Comeback RegionCore::come_back(bool was_away) {
  Lock lock(mutex_);
  owner_acts_ = false;
  Comeback comeback;
  if (!made_ || state_ == RegionState::kDead) return comeback;
  if (was_away) key_is_dead_ = true;
  if (!was_away && state() == RegionState::kLive) {
    comeback.in_use = true;
    return comeback;
  }
  if (config_.on_revoke == RevokePolicy::kHandOver) {
    change_state(RegionState::kRestoring);
    return comeback;
  }
  const auto restored = bring_back(lock, config_.back_off.limit, comeback);
  if (!restored) log(LogLevel::kWarning, "{}", restored.error().message());
  comeback.in_use = restored.has_value();
  return comeback;
}

void RegionCore::gone() {
  const Lock lock(mutex_);
  if (state_ == RegionState::kDead) return;
  if (const auto removed = die(); !removed) {
    log(LogLevel::kWarning, "{}", removed.error().message());
  }
}

Result<void> RegionCore::recover(std::optional<std::chrono::nanoseconds> limit) {
  if (auto may = may_wait("recover", config_.name); !may) return may;
  Lock lock(mutex_);
  if (state() == RegionState::kLive) return {};
  // Policy kFail means that the first revoke is the end, whoever noticed it.
  if (config_.on_revoke == RevokePolicy::kFail) {
    if (auto died = die(); !died) return died;
  }
  if (state_ == RegionState::kDead) return make_error(Errc::kDead, "recover", config_.name);
  Comeback ignored;
  return bring_back(lock, limit.value_or(config_.back_off.limit), ignored);
}

Result<void> RegionCore::bring_back(Lock& lock, std::chrono::nanoseconds limit,
                                    Comeback& comeback) {
  const auto deadline = later(Clock::now(), limit);
  const std::uint64_t revokes = revokes_;
  auto pause = config_.back_off.first;
  unpublish();
  change_state(RegionState::kRestoring);
  const auto first_attempt = Clock::now();
  while (true) {
    comeback.waiting = Clock::now() - first_attempt;
    const auto in_kernel_before = in_kernel();
    auto done = try_once();
    comeback.in_kernel = in_kernel() - in_kernel_before;
    if (done) return done;
    if (!worth_another_attempt(done.error()) || Clock::now() + pause > deadline) {
      change_state(RegionState::kRevoked, &done.error());
      return done;
    }
    changed_.wait_for(lock, pause);
    pause = std::min(pause * 2, config_.back_off.ceiling);
    // Others may have had the mutex.
    if (state_ == RegionState::kDead) return make_error(Errc::kDead, "recover", config_.name);
    if (state_ == RegionState::kLive) return {};
    if (revokes_ != revokes) {
      return make_error(Errc::kRevoked, "recover", config_.name, "it was revoked once more");
    }
  }
}

bool RegionCore::keeps_key() const noexcept {
  return current_ && config_.keys == KeyPolicy::kStable &&
         registrar_->importer().importer == verbs::ImporterClass::kFaultable;
}

Result<void> RegionCore::try_once() {
  const std::uint64_t invalidates = count_invalidates();
  if (auto registered = register_again(); !registered) return registered;
  // What is counted from here on has met this registration, and nothing else has.
  if (const std::uint64_t now = count_invalidates(); now != invalidates) {
    seen_ = now;  // nobody knows what it did to a key that nobody has
    return make_error(Errc::kRevoked, "register", config_.name, "it was invalidated meanwhile");
  }
  seen_ = invalidates;
  attempts_.reset();
  ++generation_;
  publish();
  return {};
}

Result<void> RegionCore::register_again() {
  if (keeps_key()) {
    if (auto probed = registrar_->probe(); !probed) return probed;
  } else {
    if (auto ended = end_key(); !ended) return ended;
    auto added = registrar_->add();
    if (!added) return added.error();
    key_is_dead_ = false;
    if (current_) old_.push_back(*current_);
    current_ = Held{*added, KeyEpoch(key_epoch_.load() + 1)};
    key_epoch_ = current_->epoch.value();
    if (config_.keys == KeyPolicy::kStable) {
      // Nothing is promised about the old key, and the device has only so many.
      for (const Held& held : old_) {
        if (const auto removed = registrar_->remove(held.registration); !removed) {
          log(LogLevel::kWarning, "{}", removed.error().message());
        }
      }
      old_.clear();
    }
  }
  return {};
}

// Under fresh keys the current one lets nobody in from here on. A revoke has seen to that, or add()
// does; else it has to go, and its number with it.
Result<void> RegionCore::end_key() {
  if (!current_ || config_.keys != KeyPolicy::kFresh || key_is_dead_ ||
      registrar_->ends_keys_unrevoked()) {
    return {};
  }
  const Held held = *std::exchange(current_, std::nullopt);
  return registrar_->remove(held.registration);
}

void RegionCore::publish() {
  keys_ = std::make_unique<const RegionKeys>(RegionKeys{.lkey = current_->registration.lkey,
                                                        .rkey = current_->registration.rkey,
                                                        .address = config_.address,
                                                        .length_bytes = config_.length_bytes,
                                                        .generation = generation(),
                                                        .key_epoch = current_->epoch});
  published_.store(keys_.get(), std::memory_order_release);
  change_state(RegionState::kLive);
}

void RegionCore::unpublish() {
  published_.store(nullptr);
  // Also when report_completion() was first: it does not wait.
  if (!keys_) return;
  synchronize_readers();
  keys_.reset();
}

Result<void> RegionCore::release_keys_before(KeyEpoch epoch) {
  if (auto may = may_wait("release old keys of", config_.name); !may) return may;
  const Lock lock(mutex_);
  Result<void> first_error;
  std::erase_if(old_, [&](const Held& held) {
    if (held.epoch >= epoch) return false;
    auto removed = registrar_->remove(held.registration);
    if (!removed && first_error) first_error = std::move(removed);
    return true;
  });
  return first_error;
}

Result<void> RegionCore::close() {
  if (state_ == RegionState::kDead) return {};
  if (auto may = may_wait("close", config_.name); !may) return may;
  const Lock lock(mutex_);
  return die();
}

Result<void> RegionCore::die() {
  if (state_ == RegionState::kDead) return {};
  if (source_) source_->stop();
  unpublish();
  Result<void> first_error;
  if (current_) old_.push_back(*std::exchange(current_, std::nullopt));
  for (const Held& held : old_) {
    auto removed = registrar_->remove(held.registration);
    if (!removed && first_error) first_error = std::move(removed);
  }
  old_.clear();
  change_state(RegionState::kDead);
  return first_error;
}

void RegionCore::change_state(RegionState state, const Error* error) {
  if (state_.exchange(state) == state && state != RegionState::kLive) return;
  changed_.notify_all();
  announce(state, error);
}

void RegionCore::announce(RegionState state, const Error* error) const noexcept {
  log(LogLevel::kDebug, "region {}: {}, generation {}, key epoch {}", config_.name,
      to_string(state), generation().value(), key_epoch().value());
  if (config_.on_event) config_.on_event({state, generation(), key_epoch(), error});
}

}  // namespace detail
}  // namespace peermr
