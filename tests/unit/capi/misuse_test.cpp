// SPDX-License-Identifier: BSD-2-Clause
//
// Calls with null where there must be something, and calls that run out of memory at each of their
// allocations: an error with a sentence, never the end of the program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <new>

#include "capi/call.hpp"
#include "peermr/peermr.h"
#include "peermr/peermr_cache.h"
#include "peermr/peermr_events.h"
#include "peermr/peermr_watch.h"
#include "vfio/device_impl.hpp"
#include "vfio/fake_backend.hpp"

namespace {

// How many more allocations of this thread succeed; negative: all.
thread_local int t_allocations_left = -1;

}  // namespace

void* operator new(std::size_t size) {
  if (t_allocations_left == 0) throw std::bad_alloc();
  if (t_allocations_left > 0) --t_allocations_left;
  if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace peermr {
namespace {

using testing::HasSubstr;

template <typename Call>
void expect_out_of_memory_is_an_error(const Call& call) {
  for (int allocations = 0;; ++allocations) {
    ASSERT_LT(allocations, 10000);
    t_allocations_left = allocations;
    const int status = call();
    const bool ran_out = t_allocations_left == 0;
    t_allocations_left = -1;
    if (!ran_out) return;
    if (status != -ENOMEM) continue;  // it had what it needed, or does without
    EXPECT_STREQ(peermr_last_error(), "out of memory");
  }
}

void expect_refused(int status) {
  EXPECT_EQ(status, -EINVAL);
  EXPECT_THAT(peermr_last_error(), HasSubstr("null"));
}

class CapiMisuse : public testing::Test {
 protected:
  CapiMisuse() {
    PciDevice pci;
    pci.bdf = Bdf(0, 4, 0, 0);
    pci.bars.push_back({.index = BarIndex(2), .size_bytes = 1 << 20, .memory = true});
    device_ = new peermr_device{vfio::Device(
        std::make_unique<vfio::Device::Impl>(pci, std::make_unique<test::FakeBackend>(exporter_)))};
    EXPECT_EQ(peermr_device_export(device_, 2, &range_, 1, 0, &buffer_), 0);
  }
  ~CapiMisuse() override {
    peermr_dma_buf_close(buffer_);
    EXPECT_EQ(peermr_device_close(device_), 0);
  }

  const peermr_range range_ = {.offset = 0, .length = 4096};
  test::FakeExporter exporter_ = test::FakeExporter::peermr();
  peermr_device* device_ = nullptr;
  peermr_dma_buf* buffer_ = nullptr;
};

TEST_F(CapiMisuse, NullIsAnErrorWithASentence) {
  peermr_device* device = nullptr;
  expect_refused(peermr_device_open(nullptr, &device));
  expect_refused(peermr_device_open("0000:04:00.0", nullptr));
  expect_refused(peermr_device_reset(nullptr));
  expect_refused(peermr_device_set_memory_enabled(nullptr, 1));
  expect_refused(peermr_device_set_power(nullptr, PEERMR_POWER_ON));
  expect_refused(peermr_device_quiesce(nullptr));
  expect_refused(peermr_device_resume(nullptr));
  peermr_dma_buf* buffer = nullptr;
  expect_refused(peermr_device_export(nullptr, 2, &range_, 1, 0, &buffer));
  expect_refused(peermr_device_export(device_, 2, nullptr, 1, 0, &buffer));
  expect_refused(peermr_device_export(device_, 2, &range_, 1, 0, nullptr));
  expect_refused(peermr_dma_buf_adopt(-1, nullptr, nullptr));
  expect_refused(peermr_dma_buf_fd(nullptr));
  EXPECT_EQ(peermr_dma_buf_size(nullptr), 0u);
  EXPECT_EQ(peermr_device_features(nullptr), 0u);
  peermr_buffer_status status{};
  expect_refused(peermr_device_query(nullptr, buffer_, &status));
  expect_refused(peermr_device_query(device_, nullptr, &status));
  expect_refused(peermr_device_query(device_, buffer_, nullptr));
  expect_refused(peermr_device_revoke(nullptr, buffer_));
  expect_refused(peermr_device_revoke(device_, nullptr));
  expect_refused(peermr_device_rearm(nullptr, buffer_, 1));
  expect_refused(peermr_device_rearm(device_, nullptr, 1));
  expect_refused(peermr_device_make_private(nullptr, 0));
  peermr_path path;
  expect_refused(peermr_predict_path(nullptr, "0000:04:00.0", &path));
  expect_refused(peermr_predict_path("0000:04:00.0", nullptr, &path));
  expect_refused(peermr_predict_path("0000:04:00.0", "0000:04:00.0", nullptr));
}

TEST_F(CapiMisuse, NullIsAnErrorOfRegionsAndWhatWatchesThem) {
  ibv_pd pd{};
  peermr_region* region = nullptr;
  expect_refused(peermr_region_register(nullptr, buffer_, nullptr, &region));
  expect_refused(peermr_region_register(&pd, nullptr, nullptr, &region));
  expect_refused(peermr_region_register(&pd, buffer_, nullptr, nullptr));
  peermr_lease lease;
  expect_refused(peermr_lease_enter(nullptr, &lease));
  peermr_keys keys;
  expect_refused(peermr_region_keys(nullptr, &keys));
  EXPECT_EQ(peermr_region_state(nullptr), PEERMR_REGION_DEAD);
  EXPECT_EQ(peermr_region_report_completion(nullptr, IBV_WC_REM_ACCESS_ERR, 0),
            PEERMR_COMPLETION_UNRELATED);
  expect_refused(peermr_region_recover(nullptr, -1));
  expect_refused(peermr_region_release_keys_before(nullptr, 1));

  expect_refused(peermr_region_cache_create(1, nullptr, nullptr));
  expect_refused(peermr_region_cache_get(nullptr, &pd, buffer_, nullptr, &region));
  EXPECT_EQ(peermr_region_cache_forget_pd(nullptr, &pd), 0u);
  EXPECT_EQ(peermr_region_cache_forget_buffer(nullptr, buffer_), 0u);
  expect_refused(peermr_event_queue_create(nullptr));
  expect_refused(peermr_event_queue_fd(nullptr));
  peermr_event event;
  expect_refused(peermr_event_queue_read(nullptr, &event));
  peermr_watch* watch = nullptr;
  expect_refused(peermr_watch_create(nullptr, "0000:04:00.0", &watch));
  expect_refused(peermr_watch_create(buffer_, nullptr, &watch));
  expect_refused(peermr_watch_create(buffer_, "0000:04:00.0", nullptr));
  expect_refused(peermr_watch_fd(nullptr));
  peermr_watch_event watched;
  expect_refused(peermr_watch_read(nullptr, &watched));
  expect_refused(peermr_monitor_create(0, nullptr));
  expect_refused(peermr_monitor_fd(nullptr));
  expect_refused(peermr_monitor_process(nullptr));
  peermr_device_watch* device_watch = nullptr;
  expect_refused(peermr_monitor_watch_device(nullptr, device_, nullptr, nullptr, &device_watch));
}

TEST_F(CapiMisuse, RunningOutOfMemoryIsAnError) {
  expect_out_of_memory_is_an_error([&] {
    peermr_dma_buf* buffer = nullptr;
    const int status = peermr_device_export(device_, 2, &range_, 1, 0, &buffer);
    peermr_dma_buf_close(buffer);
    return status;
  });
  expect_out_of_memory_is_an_error([&] {
    peermr_dma_buf* buffer = nullptr;
    return peermr_device_export(device_, 9, &range_, 1, 0, &buffer);
  });
  expect_out_of_memory_is_an_error([&] { return peermr_device_revoke(device_, buffer_); });
  expect_out_of_memory_is_an_error([&] {
    peermr_path path;
    return peermr_predict_path("nonsense", "0000:04:00.0", &path);
  });
  expect_out_of_memory_is_an_error([&] {
    peermr_watch* watch = nullptr;
    return peermr_watch_create(buffer_, "0000:7f:1f.7", &watch);
  });
  expect_out_of_memory_is_an_error([&] {
    peermr_device* device = nullptr;
    return peermr_device_open("nonsense", &device);
  });
  expect_out_of_memory_is_an_error([] { return peermr_device_reset(nullptr); });
}

TEST_F(CapiMisuse, RunningOutOfMemoryIsAnErrorOfWhatWatchesAndKeeps) {
  for (const int own_thread : {0, 1}) {
    expect_out_of_memory_is_an_error([&] {
      peermr_monitor* monitor = nullptr;
      const int status = peermr_monitor_create(own_thread, &monitor);
      peermr_monitor_close(monitor);
      return status;
    });
  }
  expect_out_of_memory_is_an_error([] {
    peermr_event_queue* queue = nullptr;
    const int status = peermr_event_queue_create(&queue);
    peermr_event_queue_close(queue);
    return status;
  });
  expect_out_of_memory_is_an_error([] {
    peermr_region_cache* cache = nullptr;
    const int status = peermr_region_cache_create(4, nullptr, &cache);
    peermr_region_cache_close(cache);
    return status;
  });
}

}  // namespace
}  // namespace peermr
