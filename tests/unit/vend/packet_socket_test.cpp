// SPDX-License-Identifier: BSD-2-Clause
#include "vend/packet_socket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "support/temp_dir.hpp"

namespace peermr::vend {
namespace {

using testing::HasSubstr;

class Listener : public testing::Test {
 protected:
  mode_t mode() const {
    struct stat info {};
    EXPECT_EQ(::stat(path_.c_str(), &info), 0);
    return info.st_mode & 0777;
  }

  test::TempDir dir_;
  std::string path_ = dir_.path() / "socket";
};

TEST_F(Listener, IsItsOwnersAloneUnlessSaidOtherwise) {
  const mode_t before = ::umask(077);
  {
    const auto listener = PacketListener::create({.path = path_});
    ASSERT_TRUE(listener) << listener.error().message();
    EXPECT_EQ(mode(), 0600u);
  }
  const auto shared = PacketListener::create({.path = path_, .mode = 0660, .group = ::getegid()});
  ::umask(before);
  ASSERT_TRUE(shared) << shared.error().message();
  EXPECT_EQ(mode(), 0660u) << "whatever the umask";
}

TEST_F(Listener, KnowsWhoConnects) {
  const auto listener = PacketListener::create({.path = path_}).value();
  EXPECT_FALSE(listener.accept().value());
  const auto fd = connect_packets(path_);
  ASSERT_TRUE(fd) << fd.error().message();
  const auto peer = listener.accept().value();
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->pid, ::getpid());
  EXPECT_EQ(peer->uid, ::geteuid());
}

TEST_F(Listener, RemovesItsSocketAndNobodyElses) {
  { const auto listener = PacketListener::create({.path = path_}).value(); }
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
  auto first = std::make_unique<PacketListener>(PacketListener::create({.path = path_}).value());
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const auto second = PacketListener::create({.path = path_}).value();
  first.reset();
  EXPECT_EQ(::access(path_.c_str(), F_OK), 0);
}

TEST_F(Listener, IsLeftAloneWhileItListensAndReplacedAfterwards) {
  auto listener = std::make_unique<PacketListener>(PacketListener::create({.path = path_}).value());
  const auto second = PacketListener::create({.path = path_});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), std::errc::address_in_use);
  ASSERT_EQ(::link(path_.c_str(), (path_ + ".kept").c_str()), 0);
  listener.reset();
  ASSERT_EQ(::rename((path_ + ".kept").c_str(), path_.c_str()), 0);
  EXPECT_TRUE(PacketListener::create({.path = path_})) << "nobody listens there";
}

TEST_F(Listener, TakesNoOtherFilesPlace) {
  test::write_file(path_, "precious");
  const auto refused = PacketListener::create({.path = path_});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("left alone"));
  EXPECT_EQ(::access(path_.c_str(), F_OK), 0);
}

TEST_F(Listener, BadPathsAreRefused) {
  EXPECT_EQ(PacketListener::create({.path = ""}).error().code(), std::errc::invalid_argument);
  const auto overlong = PacketListener::create({.path = std::string(200, 'x')});
  EXPECT_EQ(overlong.error().code(), std::errc::filename_too_long);
  EXPECT_EQ(PacketListener::create({.path = dir_.path() / "no/such"}).error().code(),
            std::errc::no_such_file_or_directory);
}

TEST_F(Listener, ConnectingWhereNobodyListensSaysWhatToDo) {
  const auto none = connect_packets(path_);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message(), HasSubstr("is peermr vend running there?"));
  const UniqueFd stream(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(stream.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(stream.get(), 1), 0);
  const auto other = connect_packets(path_);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message(), HasSubstr("not a vendor's"));
}

}  // namespace
}  // namespace peermr::vend
