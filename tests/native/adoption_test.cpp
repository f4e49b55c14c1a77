// SPDX-License-Identifier: BSD-2-Clause
// Memory that is put into files keeps its content, its place and its protection.
#include "adoption.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

namespace peermr::native {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kBytes = 4 * kPage;

class AdoptionTest : public ::testing::Test {
 protected:
  void SetUp() override { map(PROT_READ | PROT_WRITE); }
  void TearDown() override { ::munmap(memory, kBytes); }
  void map(int prot) {
    if (memory != nullptr) ::munmap(memory, kBytes);
    memory = static_cast<uint8_t*>(
        ::mmap(nullptr, kBytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory, MAP_FAILED);
  }
  int adopt(size_t first_page, size_t pages, int prot = PROT_READ | PROT_WRITE) {
    const std::lock_guard guard(Adoption::instance().mutex());
    const auto start = reinterpret_cast<uintptr_t>(memory) + first_page * kPage;
    return Adoption::instance().adopt(start, start + pages * kPage, prot, file);
  }
  uint8_t* memory = nullptr;
  std::shared_ptr<MemoryFile> file;
};

TEST_F(AdoptionTest, ContentIsKeptAndSharedWithTheFile) {
  std::memset(memory, 0x42, kBytes);
  ASSERT_EQ(adopt(1, 2), 0);
  EXPECT_EQ(memory[0], 0x42);
  EXPECT_EQ(memory[kPage], 0x42);
  EXPECT_EQ(memory[kBytes - 1], 0x42);
  memory[kPage + 5] = 0x17;
  uint8_t seen = 0;
  ASSERT_EQ(::pread(file->fd.get(), &seen, 1, 5), 1);
  EXPECT_EQ(seen, 0x17);
}

TEST_F(AdoptionTest, MemoryThatWasNeverTouchedIsZero) {
  ASSERT_EQ(adopt(0, 4), 0);
  for (size_t i = 0; i < kBytes; ++i) ASSERT_EQ(memory[i], 0) << i;
}

TEST_F(AdoptionTest, MemoryThatIsNotThereIsRefused) {
  ::munmap(memory + kPage, kPage);
  EXPECT_EQ(adopt(0, 4), EFAULT);
}

TEST_F(AdoptionTest, AFileIsForgottenWithItsLastMappingAndUser) {
  ASSERT_EQ(adopt(0, 4), 0);
  const std::weak_ptr<MemoryFile> watch = file;
  file.reset();
  const std::lock_guard guard(Adoption::instance().mutex());
  Adoption::instance().collect(read_process_maps());
  EXPECT_FALSE(watch.expired());
  ::munmap(memory, kBytes);
  Adoption::instance().collect(read_process_maps());
  EXPECT_TRUE(watch.expired());
  // For TearDown, which unmaps.
  memory = static_cast<uint8_t*>(
      ::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

TEST_F(AdoptionTest, AThreadThatWritesMeanwhileLosesNothing) {
  const long uffd = ::syscall(SYS_userfaultfd, O_CLOEXEC | 1);
  if (uffd < 0) GTEST_SKIP() << "no userfaultfd: " << std::strerror(errno);
  ::close(static_cast<int>(uffd));
  for (int round = 0; round < 100; ++round) {
    map(PROT_READ | PROT_WRITE);
    auto* const words = reinterpret_cast<std::atomic<uint64_t>*>(memory);
    auto* const far = reinterpret_cast<std::atomic<uint64_t>*>(memory + 2 * kPage);
    std::atomic<bool> stop = false;
    uint64_t count = 0;
    std::thread writer([&] {
      for (; !stop; ++count) {
        // Not read-modify-write instructions: a plain program's loads and stores.
        words->store(words->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        far->store(far->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      }
    });
    while (words->load() < 100) std::this_thread::yield();
    EXPECT_EQ(adopt(0, 4), 0);
    stop = true;
    writer.join();
    ASSERT_EQ(words->load(), count) << round;
    ASSERT_EQ(far->load(), count) << round;
  }
}

}  // namespace
}  // namespace peermr::native
