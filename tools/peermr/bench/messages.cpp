// SPDX-License-Identifier: BSD-2-Clause
#include "bench/messages.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace peermr::tool {
namespace {

using nlohmann::json;

constexpr std::uint64_t kQpnMask = 0xffffff;
constexpr std::size_t kMaxText = 1024;

Error bad(std::string_view what) {
  return make_error(Errc::kMalformed, "read a message of", "the peer", what);
}

// Takes members of an object one after the other and remembers the first that is wrong.
class Reader {
 public:
  explicit Reader(const json& object) : object_(object) {}

  std::uint64_t number(const char* name, std::uint64_t least, std::uint64_t most) {
    const auto found = object_.is_object() ? object_.find(name) : object_.end();
    if (found != object_.end() && found->is_number_unsigned()) {
      const auto value = found->get<std::uint64_t>();
      if (value >= least && value <= most) return value;
    }
    fail(name);
    return least;
  }

  bool boolean(const char* name) {
    const auto found = object_.is_object() ? object_.find(name) : object_.end();
    if (found != object_.end() && found->is_boolean()) return found->get<bool>();
    fail(name);
    return false;
  }

  std::string text(const char* name) {
    const auto found = object_.is_object() ? object_.find(name) : object_.end();
    if (found != object_.end() && found->is_string()) {
      auto value = found->get<std::string>();
      const bool printable = std::all_of(value.begin(), value.end(), [](unsigned char c) {
        return c >= ' ' && c != 0x7f;  // it will be printed on somebody's terminal
      });
      if (value.size() <= kMaxText && printable) return value;
    }
    fail(name);
    return {};
  }

  template <typename T>
  Result<T> done(T value) {
    if (!wrong_.empty()) return bad(fmt::format("\"{}\" is missing or out of range", wrong_));
    return value;
  }

 private:
  void fail(const char* name) {
    if (wrong_.empty()) wrong_ = name;
  }

  const json& object_;
  std::string wrong_;
};

constexpr std::uint64_t kAny = ~std::uint64_t{0};

bool parse_gid(const std::string& text, std::array<std::uint8_t, 16>& gid) {
  if (text.size() != 2 * gid.size()) return false;
  for (std::size_t i = 0; i < gid.size(); ++i) {
    const char* begin = text.data() + 2 * i;
    auto [end, status] = std::from_chars(begin, begin + 2, gid[i], 16);
    if (status != std::errc{} || end != begin + 2) return false;
  }
  return true;
}

}  // namespace

json to_json(const QpAddress& address) {
  std::string gid;
  for (std::uint8_t byte : address.gid) gid += fmt::format("{:02x}", byte);
  return {{"qpn", address.qpn}, {"psn", address.psn}, {"lid", address.lid},
          {"gid", gid},         {"mtu", address.mtu}, {"rd_atomic", address.rd_atomic}};
}

Result<QpAddress> qp_address_from_json(const json& object) {
  Reader reader(object);
  QpAddress address;
  address.qpn = static_cast<std::uint32_t>(reader.number("qpn", 0, kQpnMask));
  address.psn = static_cast<std::uint32_t>(reader.number("psn", 0, kQpnMask));
  address.lid = static_cast<std::uint16_t>(reader.number("lid", 0, 0xffff));
  address.mtu = static_cast<std::uint32_t>(reader.number("mtu", IBV_MTU_256, IBV_MTU_4096));
  address.rd_atomic = static_cast<std::uint32_t>(reader.number("rd_atomic", 1, 0xff));
  const std::string gid = reader.text("gid");
  auto result = reader.done(address);
  if (!result) return result;
  if (!parse_gid(gid, result->gid)) return bad("\"gid\" is not 32 hexadecimal digits");
  return result;
}

json to_json(const TargetInfo& info) {
  return {{"name", info.name},
          {"host", info.host},
          {"length_bytes", info.length_bytes},
          {"address", info.address},
          {"rkey", info.rkey},
          {"path_predicted", info.predicted},
          {"path_reason", info.reason},
          {"path_kernel", info.kernel}};
}

Result<TargetInfo> target_info_from_json(const json& object) {
  Reader reader(object);
  TargetInfo info;
  info.name = reader.text("name");
  info.host = reader.boolean("host");
  info.length_bytes = reader.number("length_bytes", 1, kAny);
  info.address = reader.number("address", 0, kAny);
  info.rkey = static_cast<std::uint32_t>(reader.number("rkey", 0, 0xffffffff));
  info.predicted = reader.text("path_predicted");
  info.reason = reader.text("path_reason");
  info.kernel = reader.text("path_kernel");
  return reader.done(std::move(info));
}

json to_json(const SlotsRequest& request) {
  return {{"target", request.target},
          {"size_bytes", request.layout.size_bytes},
          {"stride_bytes", request.layout.stride_bytes},
          {"slots", request.layout.slots},
          {"seed", request.seed}};
}

Result<SlotsRequest> slots_request_from_json(const json& object) {
  Reader reader(object);
  SlotsRequest request;
  request.target = reader.number("target", 0, 0xffff);
  request.layout.size_bytes = reader.number("size_bytes", 1, kAny);
  request.layout.stride_bytes = reader.number("stride_bytes", 1, kAny);
  request.layout.slots = reader.number("slots", 1, kAny);
  request.seed = reader.number("seed", 0, kAny);
  return reader.done(request);
}

json to_json(const std::optional<Mismatch>& mismatch) {
  if (!mismatch) return nullptr;
  return {{"offset_bytes", mismatch->offset_bytes},
          {"expected", mismatch->expected},
          {"found", mismatch->found},
          {"wrong_bytes", mismatch->wrong_bytes},
          {"never_written", mismatch->poison},
          {"past_message", mismatch->outside}};
}

Result<std::optional<Mismatch>> mismatch_from_json(const json& object) {
  if (object.is_null()) return std::optional<Mismatch>();
  Reader reader(object);
  Mismatch mismatch;
  mismatch.offset_bytes = reader.number("offset_bytes", 0, kAny);
  mismatch.expected = static_cast<std::uint8_t>(reader.number("expected", 0, 0xff));
  mismatch.found = static_cast<std::uint8_t>(reader.number("found", 0, 0xff));
  mismatch.wrong_bytes = reader.number("wrong_bytes", 1, kAny);
  mismatch.poison = reader.boolean("never_written");
  mismatch.outside = reader.boolean("past_message");
  return reader.done(std::optional<Mismatch>(mismatch));
}

}  // namespace peermr::tool
