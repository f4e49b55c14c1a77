// SPDX-License-Identifier: BSD-2-Clause
#include "device.hpp"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <map>
#include <new>

#include "base/log.hpp"

namespace peermr::native {

static_assert(std::endian::native == std::endian::little, "hardware structs are used as they are");

namespace {

constexpr uint32_t kEqLogSize = 8;
constexpr uint32_t kEqMask = (1u << kEqLogSize) - 1;
constexpr uint32_t kAdminVector = 0;
constexpr uint32_t kEventVector = 1;
constexpr auto kConnectTimeout = std::chrono::milliseconds(10000);
constexpr int kTickMs = 1;

// All devices of the process. Its mutex is taken before any device's lock.
std::mutex table_mutex;
std::map<int, std::weak_ptr<Device>>& table() {
  static auto* devices = new std::map<int, std::weak_ptr<Device>>;
  return *devices;
}

}  // namespace

Device::Device(std::unique_ptr<Client> client)
    : client_(std::move(client)), memory_(*client_), admin_(*client_, memory_) {}

int Device::open(const std::string& dir, int index, std::shared_ptr<Device>& out) {
  const std::lock_guard guard(table_mutex);
  out = table()[index].lock();
  if (out != nullptr) return out->is_fatal() ? EIO : 0;
  if (const int error = connect(dir + "/pnic" + std::to_string(index), out)) return error;
  table()[index] = out;
  return 0;
}

void Device::close(std::shared_ptr<Device>& device) {
  const std::lock_guard guard(table_mutex);
  device.reset();
}

// Not even the mutex can be trusted, which another thread may have held.
void Device::forget_all() {
  new (&table_mutex) std::mutex;
  new (&table()) std::map<int, std::weak_ptr<Device>>;
}

int Device::connect(const std::string& path, std::shared_ptr<Device>& out) {
  UniqueFd lock_file(::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_file) return errno;
  if (::flock(lock_file.get(), LOCK_EX | LOCK_NB) != 0) return EBUSY;
  auto client = Client::connect(path + ".sock", kConnectTimeout);
  if (!client) {
    log(LogLevel::kError, "pnic native: {}", client.error().message());
    return ENODEV;
  }
  std::shared_ptr<Device> device(new Device(std::move(*client)));
  device->lock_file_ = std::move(lock_file);
  if (const int error = device->start()) {
    log(LogLevel::kError, "pnic native: start {}: {}", path, std::strerror(error));
    return error;
  }
  out = std::move(device);
  return 0;
}

Device::~Device() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(stop_event_.get(), &one, sizeof(one));
    thread_.join();
  }
  if (doorbells_ != nullptr) ::munmap(doorbells_, doorbell_bytes_);
}

// Memory decoding, bus mastering and MSI-X on, as a kernel's PCI core does.
int Device::enable_pci() {
  const uint32_t config = nic::vfio_user::kConfigRegion;
  if (const int error = client_->region_write16(config, PCI_COMMAND,
                                                PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER))
    return error;
  uint32_t word = 0;
  if (const int error = client_->region_read32(config, PCI_CAPABILITY_LIST, word)) return error;
  for (uint32_t at = word & 0xfc, hops = 0; at != 0 && hops < 48; ++hops) {
    if (const int error = client_->region_read32(config, at, word)) return error;
    if ((word & 0xff) == PCI_CAP_ID_MSIX)
      return client_->region_write16(
          config, at + PCI_MSIX_FLAGS,
          static_cast<uint16_t>(word >> 16 | PCI_MSIX_FLAGS_ENABLE));
    at = word >> 8 & 0xfc;
  }
  return ENODEV;
}

int Device::start() {
  admin_event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  queue_event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  stop_event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!admin_event_ || !queue_event_ || !stop_event_) return EMFILE;

  const int eventfds[] = {admin_event_.get(), queue_event_.get()};
  if (const int error = client_->set_msix(eventfds)) return error;
  if (const int error = enable_pci()) return error;
  if (const int error = client_->region_fd(PNIC_BAR_DOORBELL, doorbell_fd_, doorbell_bytes_))
    return error;
  if (doorbell_bytes_ != PNIC_BAR_DOORBELL_SIZE) return EPROTO;
  void* const bar = ::mmap(nullptr, doorbell_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED,
                           doorbell_fd_.get(), 0);
  if (bar == MAP_FAILED) return errno;
  doorbells_ = static_cast<std::byte*>(bar);

  if (const int error = admin_.start(kAdminVector, admin_event_.get())) return error;
  uint32_t low = 0;
  uint32_t high = 0;
  if (const int error = client_->region_read32(PNIC_BAR_REGS, PNIC_REG_FEATURES_LO, low))
    return error;
  if (const int error = client_->region_read32(PNIC_BAR_REGS, PNIC_REG_FEATURES_HI, high))
    return error;
  features_ = uint64_t{high} << 32 | low;
  if (const int error = admin_.query(PNIC_CMD_QUERY_DEVICE, 0, &attr_, sizeof(attr_)))
    return error;
  if (const int error = create_event_queue()) return error;

  // The application's signals are for its own threads.
  sigset_t all;
  sigset_t old;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &old);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  return 0;
}

int Device::create_event_queue() {
  eq_ring_ = DriverBuffer::create(memory_, sizeof(pnic_eqe) << kEqLogSize);
  if (!eq_ring_) return ENOMEM;
  uint64_t result = 0;
  pnic_cmd alloc = make_command(PNIC_CMD_ALLOC_UAR);
  if (const int error = admin_.execute(alloc, &result)) return error;
  eq_uar_ = static_cast<uint32_t>(result);

  // 256 entries of 32 bytes take two pages, so one block of addresses.
  auto block = DriverBuffer::create(memory_, kPage);
  if (!block) return ENOMEM;
  const size_t pages = eq_ring_->size_bytes() / kPage;
  for (size_t i = 0; i < pages; ++i) {
    const uint64_t address = eq_ring_->iova() + i * kPage;
    std::memcpy(block->data() + i * sizeof(address), &address, sizeof(address));
  }
  pnic_cmd create = make_command(PNIC_CMD_CREATE_EQ);
  create.u.create_eq.vector = kEventVector;
  create.u.create_eq.uar = eq_uar_;
  create.u.create_eq.slot = 0;
  create.u.create_eq.log_size = kEqLogSize;
  create.u.create_eq.pages.addr = block->iova();
  create.u.create_eq.pages.num_pages = static_cast<uint32_t>(pages);
  create.u.create_eq.pages.page_shift = PNIC_PAGE_SHIFT;
  create.u.create_eq.pages.levels = 1;
  if (const int error = admin_.execute(create, &result)) return error;
  eqn_ = static_cast<uint32_t>(result);
  arm();
  return 0;
}

volatile uint64_t* Device::slot(uint32_t uar, uint32_t index) {
  std::byte* const at = doorbells_ + size_t{uar} * kPage + index * PNIC_UAR_SLOT_SIZE;
  return reinterpret_cast<volatile uint64_t*>(at);
}

void Device::zero_slot(uint32_t uar, uint32_t index) { *slot(uar, index) = 0; }

void Device::kick() { client_->region_post32(PNIC_BAR_REGS, PNIC_KICK_OFFSET, 1); }

// Asks for an interrupt with the next event.
void Device::arm() {
  ++arm_seq_;
  *slot(eq_uar_, 0) = uint64_t{arm_seq_ << PNIC_ARM_SEQ_SHIFT | PNIC_ARM_ANY} << 32 | eq_ci_;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const auto* status = reinterpret_cast<const volatile pnic_status_page*>(doorbells_);
  if (status->armed != 0) kick();
}

void* Device::map_doorbell_page(uint32_t page, int prot) {
  return ::mmap(nullptr, kPage, prot, MAP_SHARED, doorbell_fd_.get(),
                static_cast<off_t>(size_t{page} * kPage));
}

void Device::handle_interrupt() {
  uint64_t raised = 0;
  if (::read(queue_event_.get(), &raised, sizeof(raised)) < 0) return;
  const std::lock_guard guard(lock_);
  for (;; ++eq_ci_) {
    auto* entry = reinterpret_cast<pnic_eqe*>(eq_ring_->data()) + (eq_ci_ & kEqMask);
    const uint8_t phase = (eq_ci_ >> kEqLogSize & 1) != 0 ? 0 : PNIC_EQE_PHASE;
    if ((std::atomic_ref(entry->flags).load(std::memory_order_acquire) & PNIC_EQE_PHASE) != phase)
      break;
    const pnic_eqe event = *entry;
    if (event.type == PNIC_EVENT_FATAL) {
      declare_fatal();
      continue;
    }
    for (DeviceEvents* listener : listeners_)
      if (listener->on_event(event)) break;
  }
  arm();
}

// With the lock held.
void Device::declare_fatal() {
  if (fatal_) return;
  fatal_ = true;
  log(LogLevel::kWarning, "pnic native: the device has failed or pnicd is gone");
  for (DeviceEvents* listener : listeners_) listener->on_fatal();
}

void Device::run() {
  pollfd fds[] = {
      {stop_event_.get(), POLLIN, 0},
      {queue_event_.get(), POLLIN, 0},
      {kick_pages_.fd(), POLLIN, 0},
      {client_->fd(), POLLRDHUP, 0},
  };
  const int timeout = kick_pages_.needs_ticks() ? kTickMs : -1;
  const auto* status = reinterpret_cast<const volatile pnic_status_page*>(doorbells_);
  for (;;) {
    if (::poll(fds, std::size(fds), timeout) < 0) continue;
    if (fds[0].revents != 0) return;
    if (fds[2].revents != 0) kick_pages_.serve([this] { kick(); });
    if (kick_pages_.needs_ticks() && status->armed != 0) kick();
    if (fds[1].revents != 0) handle_interrupt();
    if (fds[3].revents != 0) {
      fds[3].fd = -1;
      const std::lock_guard guard(lock_);
      declare_fatal();
    }
  }
}

}  // namespace peermr::native
