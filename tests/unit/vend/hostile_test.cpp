// SPDX-License-Identifier: BSD-2-Clause
//
// Peers that do not keep to the protocol, on either side.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <random>

#include "vend/fixture.hpp"
#include "vend/packet_socket.hpp"
#include "vend/wire.hpp"

namespace peermr::vend::test {
namespace {

using testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::size_t open_files() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

/// The next packet within 5 s; nothing when the peer has hung up.
std::optional<Notice> next_notice(int fd, UniqueFd* descriptor = nullptr) {
  while (true) {
    pollfd entry{fd, POLLIN, 0};
    if (::poll(&entry, 1, 5000) != 1) {
      ADD_FAILURE() << "neither an answer nor an end";
      return std::nullopt;
    }
    std::array<std::byte, kMaxPacketBytes> room;
    const auto got = receive_packet(fd, room, descriptor);
    if (got.error_number == EAGAIN) continue;
    if (got.error_number != 0 || got.bytes == 0) return std::nullopt;
    const auto notice = decode_notice(std::span(room).first(got.bytes));
    EXPECT_TRUE(notice) << "the vendor keeps to the protocol";
    return notice;
  }
}

class HostileBorrower : public Vending {
 protected:
  UniqueFd raw() {
    auto fd = connect_packets(path_);
    EXPECT_TRUE(fd) << fd.error().message();
    const auto greeting = next_notice(fd->get());
    EXPECT_TRUE(greeting && greeting->kind == NoticeKind::kGreeting);
    return *std::move(fd);
  }
  // What the vendor says to one packet, and whether it hangs up then.
  void expect_hang_up(const UniqueFd& fd, const char* why) {
    const auto refused = next_notice(fd.get());
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->kind, NoticeKind::kRefused);
    EXPECT_EQ(refused->code, static_cast<std::uint32_t>(EPROTO));
    EXPECT_EQ(refused->text, why);
    EXPECT_FALSE(next_notice(fd.get()));
  }
  void expect_service() {
    Borrower borrower = connect();
    Loan loan = borrow(borrower, {.wait = 5s});
    EXPECT_TRUE(loan.renew());
    EXPECT_TRUE(loan.give_back());
  }
};

TEST_F(HostileBorrower, IsToldAndDisconnectedForPacketsThatAreNoRequests) {
  start();
  Borrower good = connect();
  const Loan loan = borrow(good);
  for (const std::size_t size : {std::size_t{1}, std::size_t{4}, kRequestBytes - 1,
                                 kRequestBytes + 1, std::size_t{100000}}) {
    const auto fd = raw();
    ASSERT_EQ(send_packet(fd.get(), bytes_of(std::string(size, '\1'))), 0);
    expect_hang_up(fd, "that is no request");
  }
  for (const std::uint32_t kind : {0u, 4u, 0xffffffffu}) {
    const auto fd = raw();
    ASSERT_EQ(send_packet(fd.get(), encode(Request{.kind = static_cast<RequestKind>(kind)})), 0);
    expect_hang_up(fd, "that is no request");
  }
  EXPECT_TRUE(loan.status().is_live());
  expect_service();
}

TEST_F(HostileBorrower, CannotLeaveDescriptorsBehind) {
  start();
  expect_service();
  const auto before = open_files();
  for (int i = 0; i < 50; ++i) {
    const auto fd = raw();
    const UniqueFd gift(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(send_packet(fd.get(), encode(Request{.kind = RequestKind::kBorrow}), gift.get()), 0);
    expect_hang_up(fd, "descriptors came along that nobody asked for");
  }
  EXPECT_TRUE(eventually([&] { return open_files() <= before; }));
  EXPECT_EQ(count(VendorEvent::Kind::kLent), 1u);
}

TEST_F(HostileBorrower, CannotTouchTheLoansOfOthers) {
  start();
  Borrower good = connect();
  Loan loan = borrow(good);
  const auto fd = raw();
  for (const auto kind : {RequestKind::kGiveBack, RequestKind::kRenew}) {
    for (const std::uint64_t number : {loan.number(), std::uint64_t{0}, ~std::uint64_t{0}}) {
      ASSERT_EQ(send_packet(fd.get(), encode(Request{.kind = kind, .loan = number})), 0);
      const auto refused = next_notice(fd.get());
      ASSERT_TRUE(refused);
      EXPECT_EQ(refused->code, static_cast<std::uint32_t>(ENOENT));
    }
  }
  EXPECT_TRUE(loan.renew());
}

TEST_F(HostileBorrower, WhoNeverReadsIsDisconnectedAndHoldsNobodyUp) {
  start();
  const auto fd = raw();
  // More answers than the socket has room for.
  for (int i = 0; i < 20000; ++i) {
    const int error_number = send_packet(
        fd.get(), encode(Request{.kind = RequestKind::kRenew, .number = 1, .loan = 99}));
    if (error_number == EPIPE || error_number == ECONNRESET) break;
    if (error_number == EAGAIN) std::this_thread::sleep_for(1ms);
  }
  expect_service();
  EXPECT_TRUE(eventually([&] { return count(VendorEvent::Kind::kRefused) == 1; }));
}

TEST_F(HostileBorrower, WhoNeverReadsLosesItsLoans) {
  options_.lease_time = 100ms;
  start();
  const auto fd = raw();
  for (std::uint32_t i = 0; i < 3 * kSlices; ++i) {
    ASSERT_EQ(send_packet(fd.get(), encode(Request{.kind = RequestKind::kBorrow, .number = i})), 0);
  }
  EXPECT_TRUE(becomes_free());
  EXPECT_EQ(device_.reachable(), 0u);
}

TEST_F(HostileBorrower, FloodDoesNotStopTheServiceOfOthers) {
  start();
  std::atomic<bool> end{false};
  std::vector<std::thread> flooders;
  for (int i = 0; i < 3; ++i) {
    flooders.emplace_back([&] {
      while (!end) {
        const auto fd = raw();
        for (int k = 0; k < 500 && !end; ++k) {
          const auto packet = encode(Request{.kind = RequestKind::kBorrow, .lease_ms = 1});
          if (send_packet(fd.get(), packet) != 0) break;
        }
      }
    });
  }
  for (int i = 0; i < 20; ++i) expect_service();
  end = true;
  for (auto& flooder : flooders) flooder.join();
  EXPECT_TRUE(becomes_free());
}

TEST_F(HostileBorrower, ConnectionsThatSayNothingDoNotKeepOthersOut) {
  options_.max_borrowers = 8;
  start();
  Borrower good = connect();
  const Loan loan = borrow(good);
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 50; ++i) idle.push_back(raw());
  expect_service();
  EXPECT_TRUE(good.process()) << "who has a loan is not asked to go";
  EXPECT_TRUE(loan.status().is_live());
}

TEST_F(HostileBorrower, NewcomersAreRefusedWhenAllHaveLoans) {
  options_.max_borrowers = 2;
  start();
  Borrower one = connect();
  Borrower two = connect();
  const Loan loans[] = {borrow(one), borrow(two)};
  const auto refused = Borrower::connect(path_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), std::errc::device_or_resource_busy);
  EXPECT_THAT(refused.error().message(), HasSubstr("as many borrowers as may be"));
}

TEST_F(HostileBorrower, RandomRequestsLeaveNothingBehind) {
  options_.lease_time = 50ms;
  start();
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  std::vector<UniqueFd> peers;
  const auto end = std::chrono::steady_clock::now() + 1s;
  while (std::chrono::steady_clock::now() < end) {
    if (peers.size() < 6) peers.push_back(raw());
    UniqueFd& peer = peers[random() % peers.size()];
    const auto number = [&]() -> std::uint64_t {
      const std::uint64_t choices[] = {0, 1, random() % 50, random(), ~std::uint64_t{0}};
      return choices[random() % 5];
    };
    const Request request{
        .kind = static_cast<RequestKind>(random() % 64 == 0 ? random() : 1 + random() % 3),
        .number = static_cast<std::uint32_t>(random()),
        .loan = number(),
        .bytes = number(),
        .lease_ms = number(),
        .wait_ms = number()};
    const bool sent = send_packet(peer.get(), encode(request)) == 0;
    if (!sent || random() % 100 == 0) {
      std::swap(peer, peers.back());
      peers.pop_back();
    }
  }
  peers.clear();
  EXPECT_TRUE(becomes_free());
  EXPECT_EQ(device_.reachable(), 0u);
  expect_service();
}

/// Somebody else listens where a vendor should.
class HostileVendor : public testing::Test {
 protected:
  HostileVendor() : listener_(PacketListener::create({.path = path_}).value()) {}

  // Connects, while the peer says `packets` and then whatever `then` does.
  Result<Borrower> meet(const std::vector<std::string>& packets) {
    std::thread peer([&] {
      pollfd entry{listener_.fd(), POLLIN, 0};
      ASSERT_EQ(::poll(&entry, 1, 5000), 1);
      auto accepted = listener_.accept();
      ASSERT_TRUE(accepted && *accepted);
      peer_ = std::move((*accepted)->fd);
      for (const auto& packet : packets) {
        ASSERT_EQ(send_packet(peer_.get(), bytes_of(packet)), 0);
      }
    });
    auto borrower = Borrower::connect(path_, 200ms);
    peer.join();
    return borrower;
  }
  static std::string greeting(std::uint32_t version = kProtocolVersion) {
    Notice notice;
    notice.kind = NoticeKind::kGreeting;
    notice.version = version;
    notice.bytes = 4096;
    notice.text = "it";
    return encode(notice);
  }

  peermr::test::TempDir dir_;
  std::string path_ = dir_.path() / "socket";
  PacketListener listener_;
  UniqueFd peer_;
};

TEST_F(HostileVendor, IsNotBelieved) {
  for (const std::string& packet :
       {std::string("x"), std::string(kNoticeBytes, '\xff'), std::string(2000, '\1'),
        encode(Notice{.kind = NoticeKind::kLent}), greeting().substr(0, kNoticeBytes - 1),
        greeting() + "y"}) {
    const auto borrower = meet({packet});
    ASSERT_FALSE(borrower);
    EXPECT_EQ(borrower.error().code(), Errc::kMalformed);
  }
  const auto other = meet({greeting(99)});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), std::errc::not_supported);
}

TEST_F(HostileVendor, ThatIsSilentIsNotWaitedForLong) {
  const auto borrower = meet({});
  ASSERT_FALSE(borrower);
  EXPECT_EQ(borrower.error().code(), std::errc::timed_out);
}

TEST_F(HostileVendor, NoticesThatMakeNoSenseEndTheConnectionOrDoNothing) {
  auto borrower = meet({greeting()}).value();
  for (const auto kind : {NoticeKind::kEnded, NoticeKind::kGeneration, NoticeKind::kGivenBack,
                          NoticeKind::kRenewed, NoticeKind::kLent}) {
    ASSERT_EQ(
        send_packet(peer_.get(), bytes_of(encode(Notice{.kind = kind, .number = 77, .loan = 5}))),
        0);
    EXPECT_TRUE(borrower.process()) << static_cast<int>(kind);
  }
  ASSERT_EQ(send_packet(peer_.get(), bytes_of(greeting())), 0);
  EXPECT_EQ(borrower.process().error().code(), Errc::kMalformed) << "one greeting is enough";
}

TEST_F(HostileVendor, LoanWithoutADescriptorIsNone) {
  auto borrower = meet({greeting()}).value();
  std::thread peer([&] {
    pollfd entry{peer_.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&entry, 1, 5000), 1);
    ASSERT_EQ(
        send_packet(peer_.get(),
                    bytes_of(encode(Notice{.kind = NoticeKind::kLent, .number = 1, .loan = 5}))),
        0);
  });
  const auto loan = borrower.borrow();
  peer.join();
  ASSERT_FALSE(loan);
  EXPECT_EQ(loan.error().code(), Errc::kMalformed);
}

TEST_F(HostileVendor, TimesThatNoClockCountsDoNotPassAtOnce) {
  Notice greeting;
  greeting.kind = NoticeKind::kGreeting;
  greeting.version = kProtocolVersion;
  greeting.bytes = ~std::uint64_t{0};
  greeting.lease_ms = ~std::uint64_t{0};
  auto borrower = meet({encode(greeting)}).value();
  EXPECT_GT(borrower.vendor().lease_time, 0ms);
  const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::thread peer([&] {
    pollfd entry{peer_.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&entry, 1, 5000), 1);
    const Notice lent{
        .kind = NoticeKind::kLent, .number = 1, .loan = 5, .lease_ms = ~std::uint64_t{0}};
    ASSERT_EQ(send_packet(peer_.get(), bytes_of(encode(lent)), file.get()), 0);
  });
  const auto loan = borrower.borrow();
  peer.join();
  ASSERT_TRUE(loan) << loan.error().message();
  EXPECT_TRUE(loan->status().is_live());
}

TEST_F(HostileVendor, DescriptorsThatNobodyAskedForAreClosed) {
  auto borrower = meet({greeting()}).value();
  const UniqueFd gift(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto before = open_files();
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(send_packet(peer_.get(), bytes_of(encode(Notice{.kind = NoticeKind::kGeneration})),
                          gift.get()),
              0);
    ASSERT_TRUE(borrower.process());
  }
  EXPECT_EQ(open_files(), before);
}

}  // namespace
}  // namespace peermr::vend::test
