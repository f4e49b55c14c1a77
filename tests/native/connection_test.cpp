// SPDX-License-Identifier: BSD-2-Clause
// RcConnection on two NICs: errors are provoked, and what came through is counted and compared.
#include <dlfcn.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <peermr/peermr.hpp>
#include <random>
#include <thread>

#include "peermr_native.h"
#include "support.hpp"

namespace peermr::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using enum CompletionStatus;

constexpr size_t kBytes = 256 << 10;
constexpr size_t kChunk = 4096;
constexpr RegionId kRegion{7};

int call(const char* name, int fd) {
  const auto function = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_DEFAULT, name));
  return function != nullptr ? function(fd) : ENOSYS;
}

/// A sysfs that says of both NICs by which driver and how they import.
class ImporterSysfs {
 public:
  explicit ImporterSysfs(const std::string& how) {
    namespace fs = std::filesystem;
    root_ = fs::temp_directory_path() / ("peermr-sysfs-" + std::to_string(::getpid()) + how);
    for (const char* nic : {"pnic0", "pnic1"}) {
      const fs::path device = root_ / "class/infiniband" / nic / "device";
      fs::create_directories(device);
      fs::create_directories(root_ / "bus/pci/drivers/pnic");
      fs::create_symlink(root_ / "bus/pci/drivers/pnic", device / "driver");
    }
    fs::create_directories(root_ / "module/pnic/parameters");
    std::ofstream(root_ / "module/pnic/parameters/dmabuf_import") << how << '\n';
  }
  ~ImporterSysfs() { std::filesystem::remove_all(root_); }
  SystemPaths paths() const {
    SystemPaths paths;
    paths.sysfs = root_.string();
    return paths;
  }

 private:
  std::filesystem::path root_;
};

/// Memory that does for a device's, and is taken away and given back.
struct DeviceMemory {
  DeviceMemory() : fd(::memfd_create("peermr-native-dma-buf", MFD_CLOEXEC)) {
    EXPECT_EQ(::ftruncate(fd, kBytes), 0);
    bytes =
        static_cast<uint8_t*>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  }
  ~DeviceMemory() {
    ::munmap(bytes, kBytes);
    ::close(fd);
  }
  DmaBuf buffer() const { return DmaBuf::adopt(UniqueFd(::dup(fd)), "memory").value(); }

  int fd;
  uint8_t* bytes;
};

class Connections : public TwoNics {
 protected:
  void SetUp() override {
    TwoNics::SetUp();
    writer_pd.reset(ibv_alloc_pd(a.get()));
    owner_pd.reset(ibv_alloc_pd(b.get()));
    local = std::make_unique<Buffer>(writer_pd.get(), kBytes);
    inbox = std::make_unique<Buffer>(owner_pd.get(), kBytes);
    options.qp.min_rnr_timer = 1;
    options.qp.timeout = 10;  // 4 ms
    options.qp.retry_count = 2;
    options.recovery = {.first = 100us, .ceiling = 5ms, .limit = 5s};
  }
  void TearDown() override {
    writer.reset();
    owner.reset();
    region.reset();
    local.reset();
    inbox.reset();
    writer_pd.reset();
    owner_pd.reset();
    TwoNics::TearDown();
  }

  static std::pair<UniqueFd, UniqueFd> socket_pair() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
  static std::unique_ptr<OutOfBand> channel(UniqueFd socket) {
    return StreamChannel::adopt(std::move(socket)).value();
  }
  void connect(const std::string& importer = "revocable") {
    auto [one, two] = socket_pair();
    writer = RcConnection::create(writer_pd.get(), channel(std::move(one)), options).value();
    owner = RcConnection::create(owner_pd.get(), channel(std::move(two)), options).value();
    sysfs.emplace(importer);
    region = Region::create(owner_pd.get(), memory.buffer(),
                            {.on_event = owner->wake_on_change(), .paths = sysfs->paths()})
                 .value();
    ASSERT_TRUE(owner->publish(kRegion, *region));
    ASSERT_TRUE(turn_until([&] {
      return writer->state() == ConnectionState::kLive &&
             owner->state() == ConnectionState::kLive && writer->remote_region(kRegion);
    }));
  }

  /// Waits for either to have something to do, which must be soon, and lets both do it.
  void turn() {
    pollfd waits[2] = {{writer->fd(), POLLIN, 0}, {owner->fd(), POLLIN, 0}};
    ::poll(waits, 2, 20);
    for (auto* const side : {&*writer, &*owner}) {
      const auto done = side->process();
      if (!done) {
        ADD_FAILURE() << done.error().message();
      }
    }
    take();
  }
  bool turn_until(const std::function<bool()>& done, std::chrono::milliseconds limit = 10s) {
    const auto end = Clock::now() + limit;
    while (!done()) {
      if (Clock::now() > end || HasFailure()) return false;
      turn();
    }
    return true;
  }
  void take() {
    std::array<Completion, 16> batch;
    while (const size_t count = writer->poll(batch))
      completions.insert(completions.end(), batch.begin(), batch.begin() + count);
    while (const size_t count = owner->poll(batch))
      received.insert(received.end(), batch.begin(), batch.begin() + count);
  }
  bool wait_for(size_t count) {
    return turn_until([&] { return completions.size() >= count; });
  }
  void read_events() {
    while (const auto event = writer->next_event()) epochs = std::max(epochs, event->epoch);
    while (owner->next_event()) {
    }
  }

  /// As the owner of a device does it, with the region told.
  void revoke() {
    take_away();
    tell();
  }
  /// The double's keys live again with their memory. Who comes back only later finds them
  /// deregistered.
  void wait_longer_than_restores() { options.qp.min_rnr_timer = 20; }  // 10 ms
  /// As others do it: what is posted before the region is told is on its way for long.
  void take_away() { ASSERT_EQ(call("peermr_native_dmabuf_revoke", memory.fd), 0); }
  void tell() { region->report_completion(IBV_WC_REM_ACCESS_ERR, region->generation()); }
  void restore() {
    ASSERT_EQ(call("peermr_native_dmabuf_restore", memory.fd), 0);
    const auto recovered = region->recover();
    ASSERT_TRUE(recovered) << recovered.error().message();
  }

  WorkRequest work(Operation operation, uint64_t id, uint64_t offset = 0, uint32_t length = 8) {
    return {.operation = operation,
            .id = id,
            .region = kRegion,
            .offset_bytes = offset,
            .local = LocalMemory::of(Lkey(local->mr->lkey), local->data.data() + offset % kBytes,
                                     length)};
  }
  void store(uint64_t offset, uint64_t value) {
    std::memcpy(local->data.data() + offset, &value, sizeof(value));
  }
  uint64_t in_memory(uint64_t offset) const {
    uint64_t value = 0;
    std::memcpy(&value, memory.bytes + offset, sizeof(value));
    return value;
  }
  uint64_t in_inbox(uint64_t number) const {
    uint64_t value = 0;
    std::memcpy(&value, inbox->data.data() + number % 1024 * 8, sizeof(value));
    return value;
  }
  void post_receive() {
    const uint64_t number = receives_posted++;
    ASSERT_TRUE(owner->post_receive(
        number, LocalMemory::of(Lkey(inbox->mr->lkey), inbox->data.data() + number % 1024 * 8, 8)));
  }

  ConnectionOptions options;
  DeviceMemory memory;
  std::optional<ImporterSysfs> sysfs;
  PdPtr writer_pd;
  PdPtr owner_pd;
  std::unique_ptr<Buffer> local;
  std::unique_ptr<Buffer> inbox;
  std::optional<Region> region;
  std::optional<RcConnection> writer;
  std::optional<RcConnection> owner;
  std::vector<Completion> completions;
  std::vector<Completion> received;
  uint64_t receives_posted = 0;
  uint32_t epochs = 0;  // of the writer's connection, as events told
};

TEST_F(Connections, WritesAndReadsArriveWhereTheyShould) {
  connect();
  const auto data = local->data;
  ASSERT_TRUE(writer->post(work(Operation::kWrite, 1, 0, kBytes)));
  ASSERT_TRUE(writer->post(work(Operation::kPlace, 2)));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(std::memcmp(memory.bytes, data.data(), kBytes), 0);
  std::memset(memory.bytes, 0x5a, kChunk);
  ASSERT_TRUE(writer->post(work(Operation::kRead, 3, 0, kChunk)));
  ASSERT_TRUE(wait_for(3));
  EXPECT_EQ(std::memcmp(memory.bytes, local->data.data(), kBytes), 0);
  for (const Completion& one : completions) {
    EXPECT_EQ(one.status, kSuccess);
  }
}

TEST_F(Connections, MessagesWithImmediatesArrive) {
  connect();
  post_receive();
  post_receive();
  store(0, 11);
  WorkRequest send = work(Operation::kSendWithImmediate, 1);
  send.immediate = 0x01020304;
  ASSERT_TRUE(writer->post(send));
  WorkRequest write = work(Operation::kWriteWithImmediate, 2, 0);
  write.immediate = 5;
  ASSERT_TRUE(writer->post(write));
  ASSERT_TRUE(turn_until([&] { return received.size() == 2; }));
  EXPECT_EQ(received[0].immediate, 0x01020304u);
  EXPECT_TRUE(received[0].has_immediate);
  EXPECT_EQ(in_inbox(0), 11u);
  EXPECT_EQ(received[1].immediate, 5u);
  EXPECT_EQ(in_memory(0), 11u);
}

TEST_F(Connections, AtomicsNeedADeviceThatHasThem) {
  connect();
  EXPECT_EQ(writer->post(work(Operation::kFetchAdd, 1)).error().code(),
            std::errc::operation_not_supported);
}

// Words in slots, each written again and again, while the memory comes and goes under traffic. The
// memory keeps its content, so at the end it holds the newest of each.

class Streams : public Connections {
 protected:
  static constexpr uint64_t kSlots = 32;

  bool post_one() {
    const uint64_t slot = next % kSlots;
    store(slot * 8, next);
    if (!writer->post(work(Operation::kWrite, next, slot * 8))) return false;
    newest[slot] = next++;
    return true;
  }
  void stream(int revokes) {
    newest.fill(0);
    next = 1;
    int away_for = 0;
    for (int done = 0; done < revokes || away_for > 0;) {
      while (next < completions.size() + kSlots - 3 && post_one()) {
      }
      if (away_for > 0 && --away_for == 0) restore();
      if (away_for == 0 && done < revokes && completions.size() > static_cast<size_t>(done) * 64) {
        take_away();
        for (int i = 0; i < 3; ++i) post_one();
        tell();
        away_for = 1 + done % 3;
        ++done;
      }
      turn();
      if (HasFailure()) return;
    }
    ASSERT_TRUE(wait_for(next - 1));
    for (uint64_t i = 0; i < completions.size(); ++i) {
      ASSERT_EQ(completions[i].id, i + 1);
      ASSERT_EQ(completions[i].status, kSuccess) << to_string(completions[i].status);
    }
    for (uint64_t slot = 0; slot < kSlots; ++slot) {
      EXPECT_EQ(in_memory(slot * 8), newest[slot]) << slot;
    }
    EXPECT_EQ(region->generation(), Generation(static_cast<uint64_t>(revokes)));
    read_events();
  }

  std::array<uint64_t, kSlots> newest{};
  uint64_t next = 1;
};

TEST_F(Streams, GoThroughRevokesWithANewKeyEachTime) {
  options.on_new_generation = NewGenerationPolicy::kReplay;
  wait_longer_than_restores();
  connect("revocable");
  stream(30);
  EXPECT_EQ(region->key_epoch(), KeyEpoch(30));
  EXPECT_GT(epochs, 5u) << "of 30 revokes that kill the key under traffic";
}

TEST_F(Streams, GoThroughRevokesWithTheSameKey) {
  options.on_new_generation = NewGenerationPolicy::kReplay;
  connect("faultable");
  stream(30);
  EXPECT_EQ(region->key_epoch(), KeyEpoch(0));
  EXPECT_EQ(epochs, 1u) << "nothing fails";
}

TEST_F(Streams, GoThroughRevokesThatOutlastTheRetries) {
  options.on_new_generation = NewGenerationPolicy::kReplay;
  options.qp.rnr_retry = 1;
  options.max_failures = 1000;
  connect("faultable");
  stream(15);
  EXPECT_GT(epochs, 5u);
}

TEST_F(Connections, UnacknowledgedWorkComesBackOnANewGeneration) {
  connect();
  revoke();
  ASSERT_TRUE(turn_until(
      [&] { return writer->remote_region(kRegion)->state == DescriptorState::kPaused; }));
  read_events();
  for (uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(writer->post(work(Operation::kWrite, i)));
  restore();
  ASSERT_TRUE(wait_for(4));
  EXPECT_EQ(completions[0].status, kNewGeneration);
  EXPECT_EQ(completions[3].status, kFlushed);
  EXPECT_EQ(writer->post(work(Operation::kWrite, 9)).error().code(), Errc::kStale);
  const auto event = writer->next_event();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->region.generation, Generation(1));
  ASSERT_TRUE(writer->post(work(Operation::kWrite, 9)));
  ASSERT_TRUE(wait_for(5));
  EXPECT_EQ(completions[4].status, kSuccess);
}

TEST_F(Connections, PlacedIsRefusedWhenTheMemoryWasAwayUnseen) {
  connect("faultable");
  ASSERT_TRUE(writer->post(work(Operation::kWrite, 1)));
  ASSERT_TRUE(wait_for(1));
  revoke();
  restore();
  // The writer has heard nothing yet, and its key is as good as ever.
  ASSERT_TRUE(writer->post(work(Operation::kPlace, 2)));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(completions[1].status, kNewGeneration);
}

// Every few messages the connection is broken by a write with a key that is no key any more.
TEST_F(Connections, MessagesAreTakenOnceEachAndInOrder) {
  options.on_new_generation = NewGenerationPolicy::kReplay;
  wait_longer_than_restores();
  connect("revocable");
  constexpr uint64_t kMessages = 1000;
  std::mt19937 random(7);
  uint64_t next = 0;
  std::vector<uint64_t> seen;
  const auto look = [&] {
    for (; seen.size() < received.size();) seen.push_back(in_inbox(received[seen.size()].id));
  };
  int breaks = 0;
  while (seen.size() < kMessages) {
    while (receives_posted < received.size() + 64) post_receive();
    for (int i = 0; i < 8 && next < kMessages; ++i, ++next) {
      store(next % 1024 * 8, next);
      if (!writer->post(work(Operation::kSend, next, next % 1024 * 8))) break;
    }
    if (random() % 4 == 0 && next < kMessages) {
      // The key is deregistered while the write is on its way: an access error at both ends.
      take_away();
      if (writer->post(work(Operation::kWrite, next, 8192))) ++breaks;
      tell();
      restore();
    }
    turn();
    look();
    ASSERT_FALSE(HasFailure());
  }
  for (uint64_t i = 0; i < kMessages; ++i) ASSERT_EQ(seen[i], i);
  EXPECT_GT(breaks, 10);
  read_events();
  EXPECT_GT(epochs, 5u);
  RecordProperty("connections", static_cast<int>(epochs));
}

TEST_F(Connections, PeerWithoutReceivesIsWaitedFor) {
  options.qp.rnr_retry = 1;
  options.max_failures = 100000;
  connect();
  store(0, 77);
  ASSERT_TRUE(writer->post(work(Operation::kSend, 1)));
  turn_until([] { return false; }, 200ms);
  EXPECT_TRUE(completions.empty());
  post_receive();
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(completions[0].status, kSuccess);
  turn_until([] { return false; }, 50ms);
  ASSERT_EQ(received.size(), 1u);
  EXPECT_EQ(in_inbox(0), 77u);
}

TEST_F(Connections, PeerWithoutReceivesIsNotWaitedForForEver) {
  options.qp.rnr_retry = 1;
  options.max_failures = 3;
  connect();
  ASSERT_TRUE(writer->post(work(Operation::kSend, 1)));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(completions[0].status, kFailed);
  EXPECT_EQ(completions[0].wc_status, IBV_WC_RNR_RETRY_EXC_ERR);
  ASSERT_TRUE(writer->post(work(Operation::kWrite, 2)));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(completions[1].status, kSuccess) << "the connection is as good as new";
}

TEST_F(Connections, MessageLongerThanItsReceiveFailsAtBothEndsOnly) {
  connect();
  post_receive();
  post_receive();
  ASSERT_TRUE(writer->post(work(Operation::kSend, 1, 0, 9)));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(completions[0].wc_status, IBV_WC_REM_INV_REQ_ERR);
  ASSERT_TRUE(turn_until([&] { return received.size() == 1; }));
  EXPECT_EQ(received[0].status, kFailed);
  EXPECT_EQ(received[0].wc_status, IBV_WC_LOC_LEN_ERR);
  ASSERT_TRUE(writer->post(work(Operation::kSend, 2)));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(completions[1].status, kSuccess);
}

TEST_F(Connections, WrongLocalKeyEndsThatWorkAlone) {
  connect();
  WorkRequest bad = work(Operation::kWrite, 1);
  bad.local.lkey = Lkey(bad.local.lkey.value() + 1000);
  ASSERT_TRUE(writer->post(bad));
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(completions[0].wc_status, IBV_WC_LOC_PROT_ERR);
  ASSERT_TRUE(writer->post(work(Operation::kWrite, 2)));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(completions[1].status, kSuccess);
}

TEST_F(Connections, LocalMemoryMayBeARegionThatComesAndGoes) {
  connect();
  DeviceMemory source;
  auto from = Region::create(writer_pd.get(), source.buffer(),
                             {.on_event = writer->wake_on_change(), .paths = sysfs->paths()})
                  .value();
  std::memset(source.bytes, 0x21, kChunk);
  WorkRequest request = work(Operation::kWrite, 1);
  request.local = LocalMemory::of(from, 0, kChunk);
  from.report_completion(IBV_WC_LOC_PROT_ERR, from.generation());
  ASSERT_TRUE(writer->post(request));
  turn_until([] { return false; }, 30ms);
  EXPECT_TRUE(completions.empty());
  ASSERT_TRUE(from.recover());
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(completions[0].status, kSuccess);
  EXPECT_EQ(std::memcmp(memory.bytes, source.bytes, kChunk), 0);
  request.local = LocalMemory::of(from, kBytes, 1);
  ASSERT_TRUE(writer->post(request));
  ASSERT_TRUE(wait_for(2));
  EXPECT_EQ(completions[1].wc_status, IBV_WC_LOC_LEN_ERR);
}

TEST_F(Connections, PeerThatIsGoneEndsAllWork) {
  connect();
  revoke();  // so that the work is on its way for long
  ASSERT_TRUE(writer->post(work(Operation::kWrite, 1)));
  owner.reset();
  Result<void> done;
  const auto end = Clock::now() + 5s;
  while (done && Clock::now() < end) done = writer->process();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), std::errc::connection_reset);
  std::array<Completion, 4> batch;
  ASSERT_EQ(writer->poll(batch), 1u);
  EXPECT_EQ(batch[0].status, kOutcomeUnknown);
  EXPECT_EQ(writer->post(work(Operation::kWrite, 2)).error().code(), Errc::kDead);
}

TEST_F(Connections, WaitingForAPeerThatNeverComesEnds) {
  auto [one, two] = socket_pair();
  auto alone = RcConnection::create(writer_pd.get(), channel(std::move(one)), options).value();
  EXPECT_EQ(alone.wait_until_live(50ms).error().code(), std::errc::timed_out);
  EXPECT_EQ(alone.state(), ConnectionState::kConnecting);
}

/// A connection whose peer is the test, on a bare socket.
class HostilePeers : public Connections {
 protected:
  void SetUp() override {
    Connections::SetUp();
    auto [one, two] = socket_pair();
    peer = std::move(two);
    victim = RcConnection::create(writer_pd.get(), channel(std::move(one)), options).value();
  }
  void TearDown() override {
    victim.reset();
    Connections::TearDown();
  }
  void say(const std::string& raw) {
    ASSERT_EQ(::send(peer.get(), raw.data(), raw.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(raw.size()));
  }
  void say(const Message& message) {
    const auto bytes = encode(message);
    std::string raw("\0\0\0", 3);
    raw += static_cast<char>(bytes.size());
    raw.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    say(raw);
  }
  std::error_code fate() {
    const auto end = Clock::now() + 5s;
    while (Clock::now() < end) {
      const auto done = victim->wait_until_live(20ms);
      if (!done && done.error().code() != std::errc::timed_out) return done.error().code();
    }
    return {};
  }

  UniqueFd peer;
  std::optional<RcConnection> victim;
};

TEST_F(HostilePeers, WhoSendsGarbageIsRefused) {
  say("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(fate(), Errc::kMalformed);
}

TEST_F(HostilePeers, WhoSendsAFrameOfGarbageIsRefused) {
  say(std::string("\0\0\0\5abcde", 9));
  EXPECT_EQ(fate(), Errc::kMalformed);
}

TEST_F(HostilePeers, WhoNamesAQueuePairThatIsNotThereGetsNothing) {
  StartMessage start;
  start.epoch = 1;
  start.address = {.qp_number = 0x777, .lid = 2, .mtu = 5, .max_read_atomic = 1};
  ASSERT_TRUE(victim->process());  // it says START first
  say(start);
  say(ReadyMessage{1});
  ASSERT_TRUE(victim->wait_until_live(5s)) << "as far as one can know";
  ASSERT_TRUE(
      victim->post({.operation = Operation::kSend,
                    .id = 1,
                    .local = LocalMemory::of(Lkey(local->mr->lkey), local->data.data(), 8)}));
  // It fails, and then the peer has to answer for the next epoch.
  const auto end = Clock::now() + 5s;
  while (victim->state() != ConnectionState::kRecovering && Clock::now() < end) {
    ASSERT_TRUE(victim->process());
  }
  EXPECT_EQ(victim->state(), ConnectionState::kRecovering);
  peer.reset();
  EXPECT_EQ(fate(), std::errc::connection_reset);
  std::array<Completion, 2> batch;
  EXPECT_EQ(victim->poll(batch), 1u);
}

TEST_F(HostilePeers, WhoStartsAgainAndAgainCostsNoMoreThanItSends) {
  StartMessage start;
  start.address = {.qp_number = 0x777, .lid = 2, .mtu = 5, .max_read_atomic = 1};
  for (start.epoch = 1; start.epoch <= 200; ++start.epoch) {
    say(start);
    ASSERT_TRUE(victim->process());
  }
  EXPECT_NE(victim->state(), ConnectionState::kDead);
}

TEST_F(HostilePeers, RandomBytesNeverHangOrCrash) {
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    auto [one, two] = socket_pair();
    peer = std::move(two);
    victim = RcConnection::create(writer_pd.get(), channel(std::move(one)), options).value();
    for (int i = 0; i < 20; ++i) {
      StartMessage start;
      start.epoch = static_cast<uint32_t>(i + 1);
      start.address = {.qp_number = 0x777, .lid = 2, .mtu = 5, .max_read_atomic = 1};
      std::vector<std::byte> bytes =
          encode(random() % 2 == 0 ? Message(start)
                                   : Message(RegionDescriptor{.id = RegionId(random() % 4)}));
      if (random() % 4 == 0) bytes[random() % bytes.size()] ^= std::byte{1};
      std::string raw("\0\0\0", 3);
      raw += static_cast<char>(bytes.size());
      raw.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      ::send(peer.get(), raw.data(), raw.size(), MSG_NOSIGNAL);
      if (!victim->process()) break;
    }
  }
}

}  // namespace
}  // namespace peermr::test
