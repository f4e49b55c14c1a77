// SPDX-License-Identifier: BSD-2-Clause
#include "bench/write_verifier.hpp"

#include <chrono>
#include <random>

#include "base/signals.hpp"

namespace peermr::tool {
namespace {

constexpr std::chrono::seconds kTimeout(20);
constexpr std::uint64_t kWords = WriteVerifier::kBytes / sizeof(std::uint64_t);
constexpr std::uint64_t kMultiplier = 0x9e3779b97f4a7c15;

std::uint64_t pattern(std::uint64_t seed, std::uint64_t number, std::uint64_t word) {
  return (seed + number * kWords + word + 1) * kMultiplier;
}

}  // namespace

WriteVerifier::WriteVerifier(Endpoint here, Endpoint there, HostMemory memory)
    : here_(std::move(here)),
      there_(std::move(there)),
      memory_(std::move(memory)),
      seed_(std::random_device{}()) {}

Result<WriteVerifier> WriteVerifier::create(const BenchDevice& device) {
  auto here = Endpoint::create(device, {2, 1});
  if (!here) return std::move(here).error();
  auto there = Endpoint::create(device, {1, 1});
  if (!there) return std::move(there).error();
  if (auto connected = here->connect(there->address()); !connected) {
    return std::move(connected).error();
  }
  if (auto connected = there->connect(here->address()); !connected) {
    return std::move(connected).error();
  }
  auto memory = HostMemory::create(device, 2 * kBytes);
  if (!memory) return std::move(memory).error();
  return WriteVerifier(*std::move(here), *std::move(there), *std::move(memory));
}

Result<void> WriteVerifier::complete(ibv_send_wr& wr) {
  ibv_send_wr* bad = nullptr;
  if (const int status = ibv_post_send(here_.qp(), &wr, &bad); status != 0) {
    return errno_error(status, "post to", here_.describe());
  }
  const auto end = std::chrono::steady_clock::now() + kTimeout;
  ibv_wc completion{};
  int count = 0;
  while ((count = ibv_poll_cq(here_.cq(), 1, &completion)) == 0) {
    if (stop_requested()) {
      return make_error(std::errc::operation_canceled, "wait for", here_.describe());
    }
    if (std::chrono::steady_clock::now() > end) {
      return make_error(std::errc::timed_out, "wait for a write by", here_.describe());
    }
  }
  if (count < 0) return make_error(std::errc::io_error, "poll", here_.describe());
  if (completion.status != IBV_WC_SUCCESS) {
    return make_error(std::errc::io_error, "write by", here_.describe(),
                      ibv_wc_status_str(completion.status));
  }
  return {};
}

Result<void> WriteVerifier::write(std::uint64_t address, std::uint32_t rkey) {
  const Words words = memory_.words();
  for (std::uint64_t i = 0; i < kWords; ++i) words[i] = pattern(seed_, written_, i);
  ++written_;
  ibv_sge sge{memory_.address(), static_cast<std::uint32_t>(kBytes), memory_.lkey()};
  ibv_send_wr wr{};
  wr.sg_list = &sge;
  wr.num_sge = 1;
  wr.opcode = IBV_WR_RDMA_WRITE;
  wr.send_flags = IBV_SEND_SIGNALED;
  wr.wr.rdma.remote_addr = address;
  wr.wr.rdma.rkey = rkey;
  if (auto written = complete(wr); !written) return written;
  // An acknowledged WRITE may still be on its way: a READ behind it makes it placed.
  sge.addr += kBytes;
  wr.opcode = IBV_WR_RDMA_READ;
  if (auto read = complete(wr); !read) return read;
  if (found_in(words.subspan(kWords), 0)) return {};
  return make_error(std::errc::io_error, "read back a write by", here_.describe(),
                    "other data than was written");
}

bool WriteVerifier::found_in(Words words, std::uint64_t ago) const noexcept {
  if (words.size() < kWords || ago >= written_) return false;
  for (std::uint64_t i = 0; i < kWords; ++i) {
    if (words[i] != pattern(seed_, written_ - 1 - ago, i)) return false;
  }
  return true;
}

}  // namespace peermr::tool
