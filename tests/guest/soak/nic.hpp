// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <peermr/peermr.hpp>
#include <vector>

#include "harness/lab.hpp"
#include "pnic/verbs.hpp"
#include "soak/message.hpp"

namespace soak {

/// A NIC with a protection domain.
struct Nic {
  /// `variable` holds its PCI address.
  explicit Nic(const char* variable)
      : context(guest_test::must(peermr::verbs::Context::open(guest_test::lab_bdf(variable)))),
        pd(ibv_alloc_pd(context.get())) {
    if (!pd) guest_test::give_up("cannot allocate a PD");
  }

  peermr::verbs::Context context;
  pnic_test::Pd pd;
};

/// Messages in memory of this process that a NIC reads and writes.
class Messages {
 public:
  Messages(const Nic& nic, std::size_t count) : messages_(count) {
    mr_.reset(ibv_reg_mr(nic.pd.get(), messages_.data(), count * sizeof(Message),
                         IBV_ACCESS_LOCAL_WRITE));
    if (!mr_) guest_test::give_up("cannot register memory");
  }

  std::size_t size() const { return messages_.size(); }
  Message& operator[](std::size_t place) { return messages_[place]; }
  peermr::LocalMemory whole(std::size_t place) const {
    return peermr::LocalMemory::of(peermr::Lkey(mr_->lkey), &messages_[place], sizeof(Message));
  }
  peermr::LocalMemory body(std::size_t place) const {
    return peermr::LocalMemory::of(peermr::Lkey(mr_->lkey), &messages_[place].body, kRecordBytes);
  }

 private:
  std::vector<Message> messages_;
  pnic_test::Mr mr_;
};

}  // namespace soak
