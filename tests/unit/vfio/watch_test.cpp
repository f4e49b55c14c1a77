// SPDX-License-Identifier: BSD-2-Clause
#include "peermr/watch.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>

#include "peermr/dmabuf_watch.h"
#include "support/machine.hpp"
#include "vfio/dma_buf_state.hpp"

namespace peermr {
namespace {

using testing::AllOf;
using testing::HasSubstr;

DmaBuf some_buffer() {
  auto state = std::make_shared<detail::DmaBufState>();
  state->name = "0000:04:00.0 BAR 2";
  return DmaBuf(std::move(state));
}

TEST(Watch, WithoutTheModuleSaysWhatToLoad) {
  const test::Machine machine;
  const auto watch = Watch::create(some_buffer(), Bdf(0, 1, 0, 0), machine.paths());
  ASSERT_FALSE(watch);
  EXPECT_EQ(watch.error().code(), Errc::kNoWatch);
  EXPECT_EQ(watch.error().code(), std::errc::no_such_file_or_directory);
  EXPECT_THAT(watch.error().message(),
              AllOf(HasSubstr("0000:04:00.0 BAR 2"), HasSubstr("modprobe dmabuf_watch")));
}

TEST(Watch, OnAFileThatIsNotTheModulesIsRefused) {
  const test::Machine machine;
  test::write_file(machine.root() / "dev/dmabuf_watch", "");
  const auto watch = Watch::create(some_buffer(), Bdf(0, 1, 0, 0), machine.paths());
  ASSERT_FALSE(watch);
  EXPECT_EQ(watch.error().code(), Errc::kNoWatch);
}

class WatchOnPipe : public testing::Test {
 protected:
  WatchOnPipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    write_end_.reset(ends[1]);
    watch_ = std::make_unique<Watch>(UniqueFd(ends[0]), "the slice");
  }
  UniqueFd write_end_;
  std::unique_ptr<Watch> watch_;
};

TEST_F(WatchOnPipe, ReadsWhatHappenedThenNothing) {
  const dmabuf_watch_event event{.invalidates = 2, .total = 5, .first_ns = 1000, .last_ns = 3000};
  ASSERT_EQ(::write(write_end_.get(), &event, sizeof(event)), static_cast<ssize_t>(sizeof(event)));
  const auto got = watch_->read().value();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->invalidates, 2u);
  EXPECT_EQ(got->total, 5u);
  EXPECT_EQ(got->last - got->first, std::chrono::nanoseconds(2000));
  EXPECT_FALSE(watch_->read().value()) << "nothing more, and it does not block";
}

TEST_F(WatchOnPipe, HalfAnEventIsAnError) {
  ASSERT_EQ(::write(write_end_.get(), "half", 4), 4);
  const auto got = watch_->read();
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message(), HasSubstr("the slice"));
}

TEST_F(WatchOnPipe, StatusOfSomethingElseIsAnError) {
  EXPECT_FALSE(watch_->status());
  EXPECT_FALSE(watch_->probe(std::chrono::milliseconds(1)));
}

}  // namespace
}  // namespace peermr
