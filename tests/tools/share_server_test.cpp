// SPDX-License-Identifier: BSD-2-Clause
#include "share/server.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "share/client.hpp"
#include "support/temp_dir.hpp"

namespace peermr::tool {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using testing::HasSubstr;

class FakeOwner final : public BufferOwner {
 public:
  FakeOwner() {
    greeting_ = {
        .device = "0000:04:00.0", .bar = 4, .bytes = 4096, .ranges = 1, .exporter = "fake"};
  }

  [[nodiscard]] const Greeting& greeting() const override { return greeting_; }
  [[nodiscard]] int fd() const override { return fd_.get(); }
  [[nodiscard]] Result<vfio::BufferStatus> query() override {
    return vfio::BufferStatus{.revokes = 3, .waiting = waiting_.load()};
  }
  Result<void> revoke() override {
    if (stuck_) {
      waiting_ = true;
      // As the kernel: until an importer lets go, or a signal comes.
      while (waiting_ && ::poll(nullptr, 0, 20) == 0) {
      }
      if (waiting_) return errno_error(EINTR, "revoke");
    }
    if (revoked_.exchange(true)) return make_error(Errc::kDead, "revoke", "it");
    return {};
  }
  Result<void> rearm(std::uint64_t revokes) override {
    if (revokes != 3) return make_error(Errc::kStale, "re-arm", "it");
    return {};
  }

  std::atomic<bool> stuck_{false};
  std::atomic<bool> waiting_{false};
  std::atomic<bool> revoked_{false};

 private:
  Greeting greeting_;
  UniqueFd fd_{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
};

class Share : public testing::Test {
 protected:
  void SetUp() override { start(); }
  void TearDown() override { stop(); }

  void start() {
    auto socket = ListeningSocket::create(path_);
    ASSERT_TRUE(socket) << socket.error().message();
    server_ = std::make_unique<ShareServer>(*std::move(socket), owner_);
    thread_ = std::thread([this] {
      while (!stop_) static_cast<void>(server_->turn(20ms, -1).has_value());
    });
  }
  void stop() {
    if (!thread_.joinable()) return;
    stop_ = true;
    thread_.join();
    server_.reset();
  }

  ShareClient connect() {
    auto client = ShareClient::connect(path_);
    EXPECT_TRUE(client) << client.error().message();
    return *std::move(client);
  }
  static Result<json> ask(ShareClient& client, Request::Kind kind, std::uint64_t revokes = 0) {
    return client.ask({kind, revokes}, 5s);
  }
  // Everything that comes until the server hangs up.
  std::string say(std::string_view text) {
    const auto fd = connect_unix(path_).value();
    EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
    std::string all;
    char chunk[4096];
    while (true) {
      pollfd entry{fd.get(), POLLIN, 0};
      if (::poll(&entry, 1, 5000) != 1) return all + "(it does not hang up)";
      const ssize_t got = ::recv(fd.get(), chunk, sizeof chunk, 0);
      if (got <= 0) return all;
      all.append(chunk, static_cast<std::size_t>(got));
    }
  }

  test::TempDir dir_;
  std::string path_ = dir_.path() / "socket";
  FakeOwner owner_;
  std::unique_ptr<ShareServer> server_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST_F(Share, HandsTheDescriptorToWhoeverConnects) {
  const auto fd = connect_unix(path_).value();
  pollfd entry{fd.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 5000), 1);
  char text[kMaxShareLine];
  UniqueFd got;
  ASSERT_GT(receive_some(fd.get(), text, sizeof text, got), 0);
  struct stat sent {};
  struct stat received {};
  ASSERT_EQ(::fstat(owner_.fd(), &sent), 0);
  ASSERT_EQ(::fstat(got.get(), &received), 0);
  EXPECT_EQ(sent.st_rdev, received.st_rdev);
  EXPECT_NE(::fcntl(got.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(Share, SocketIsItsOwnersAlone) {
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(Share, AnswersSeveralClientsInTurn) {
  ShareClient one = connect();
  ShareClient two = connect();
  EXPECT_EQ(ask(one, Request::Kind::kQuery).value()["revokes"], 3);
  EXPECT_TRUE(ask(two, Request::Kind::kRearm, 3));
  EXPECT_EQ(ask(one, Request::Kind::kRearm, 2).error().code(), Errc::kStale);
  EXPECT_TRUE(ask(two, Request::Kind::kRevoke));
  EXPECT_EQ(ask(one, Request::Kind::kRevoke).error().code(), Errc::kDead);
  EXPECT_EQ(one.greeting().device, "0000:04:00.0");
}

TEST_F(Share, AnswersRequestsThatComeTogether) {
  std::string many;
  for (int i = 0; i < 200; ++i) many += make_line(Request{Request::Kind::kQuery, 0});
  many += "end\n";
  const std::string all = say(many);
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 1 + 200 + 1);
  EXPECT_THAT(all, HasSubstr("malformed"));
}

TEST_F(Share, OthersAreServedWhileARevokeWaits) {
  owner_.stuck_ = true;
  ShareClient revoker = connect();
  std::thread revoke([&] { EXPECT_TRUE(ask(revoker, Request::Kind::kRevoke)); });
  while (!owner_.waiting_) std::this_thread::sleep_for(1ms);
  ShareClient other = connect();
  EXPECT_EQ(ask(other, Request::Kind::kQuery).value()["waiting"], true);
  EXPECT_EQ(ask(other, Request::Kind::kRevoke).error().code(), std::errc::device_or_resource_busy);
  EXPECT_EQ(ask(other, Request::Kind::kRearm, 3).error().code(),
            std::errc::device_or_resource_busy);
  owner_.waiting_ = false;
  revoke.join();
}

TEST_F(Share, EndsThoughARevokeWaits) {
  owner_.stuck_ = true;
  ShareClient revoker = connect();
  std::thread revoke([&] { EXPECT_FALSE(ask(revoker, Request::Kind::kRevoke)); });
  while (!owner_.waiting_) std::this_thread::sleep_for(1ms);
  stop();
  revoke.join();
}

TEST_F(Share, GarbageIsAnsweredAndDisconnected) {
  for (const char* text :
       {"\n", "{\n", "GET / HTTP/1.0\r\n", "{\"request\":\"shutdown\"}\n", "[[[[[[[[\n"}) {
    EXPECT_THAT(say(text), testing::EndsWith("}\n"));
  }
  EXPECT_THAT(say(std::string(2 * kMaxShareLine, 'x')), HasSubstr("peermr-export/1"));
  ShareClient client = connect();
  EXPECT_TRUE(ask(client, Request::Kind::kQuery)) << "and the next one is served";
}

TEST_F(Share, DescriptorsThatPeersSendAreClosed) {
  ShareClient client = connect();
  const auto fd = connect_unix(path_).value();
  const UniqueFd gift(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto open_now = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  ASSERT_TRUE(ask(client, Request::Kind::kQuery));
  const auto before = open_now();
  for (int i = 0; i < 50; ++i) {
    ASSERT_GT(send_some(fd.get(), make_line(Request{Request::Kind::kQuery, 0}), gift.get()), 0);
  }
  ASSERT_TRUE(ask(client, Request::Kind::kQuery));
  ASSERT_TRUE(ask(client, Request::Kind::kQuery));
  EXPECT_LE(open_now(), before + 1);
}

TEST_F(Share, PeersThatSayNothingDoNotKeepOthersOut) {
  std::vector<UniqueFd> idle;
  for (std::size_t i = 0; i < 3 * ShareServer::kMaxClients; ++i) {
    auto fd = connect_unix(path_);
    ASSERT_TRUE(fd);
    idle.push_back(*std::move(fd));
  }
  ShareClient client = connect();
  EXPECT_TRUE(ask(client, Request::Kind::kQuery));
}

TEST_F(Share, PeersThatDoNotReadDoNotHoldOthersUp) {
  const auto fd = connect_unix(path_).value();
  const std::string line = make_line(Request{Request::Kind::kQuery, 0});
  for (int i = 0; i < 20000; ++i) {
    if (send_some(fd.get(), line, -1) < 0) break;
  }
  ShareClient client = connect();
  EXPECT_TRUE(ask(client, Request::Kind::kQuery));
}

TEST_F(Share, PeersThatGoEarlyDoNoHarm) {
  for (int i = 0; i < 50; ++i) {
    const auto fd = connect_unix(path_).value();
    const std::string half = make_line(Request{Request::Kind::kRevoke, 0}).substr(0, 5);
    if (i % 2 == 0) static_cast<void>(send_some(fd.get(), half, -1));
  }
  ShareClient client = connect();
  EXPECT_TRUE(ask(client, Request::Kind::kQuery));
}

TEST_F(Share, SocketGoesWithTheServer) {
  stop();
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
}

TEST_F(Share, SocketOfALiveServerIsLeftAlone) {
  const auto second = ListeningSocket::create(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), std::errc::address_in_use);
  connect();
}

TEST_F(Share, SocketThatReplacedItsOwnIsLeftAlone) {
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const auto other = ListeningSocket::create(path_);
  ASSERT_TRUE(other);
  stop();
  EXPECT_EQ(::access(path_.c_str(), F_OK), 0);
}

TEST(ListeningSocket, TakesAStaleSocketsPlaceAndNoOtherFile) {
  const test::TempDir dir;
  const std::string path = dir.path() / "socket";
  {
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto first = ListeningSocket::create(path);
    ASSERT_TRUE(first);
    ASSERT_EQ(::link(path.c_str(), (path + ".kept").c_str()), 0);
  }
  ASSERT_EQ(::rename((path + ".kept").c_str(), path.c_str()), 0);
  EXPECT_TRUE(ListeningSocket::create(path)) << "nobody listens there";
  test::write_file(path, "precious");
  const auto refused = ListeningSocket::create(path);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("left alone"));
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);
}

}  // namespace
}  // namespace peermr::tool
