// SPDX-License-Identifier: BSD-2-Clause
#include "process_maps.hpp"

#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>

namespace peermr::native {

namespace {

bool parse(const char* line, Mapping& out) {
  std::array<char, 5> prot{};
  std::array<char, 64> name{};
  unsigned major = 0;
  unsigned minor = 0;
  unsigned long inode = 0;
  const int fields =
      std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNx64 " %x:%x %lu %63s", &out.start,
                  &out.end, prot.data(), &out.offset, &major, &minor, &inode, name.data());
  if (fields < 7) return false;
  out.prot = (prot[0] == 'r' ? PROT_READ : 0) | (prot[1] == 'w' ? PROT_WRITE : 0) |
             (prot[2] == 'x' ? PROT_EXEC : 0);
  out.shared = prot[3] == 's';
  out.special = std::strncmp(name.data(), "[v", 2) == 0;
  out.device = makedev(major, minor);
  out.inode = inode;
  return true;
}

}  // namespace

std::vector<Mapping> read_process_maps() {
  std::vector<Mapping> maps;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/maps", "re"),
                                                             &std::fclose);
  if (!file) return maps;
  std::array<char, 4096 + 256> line{};
  while (std::fgets(line.data(), line.size(), file.get()) != nullptr) {
    Mapping mapping;
    if (parse(line.data(), mapping)) maps.push_back(mapping);
  }
  return maps;
}

}  // namespace peermr::native
