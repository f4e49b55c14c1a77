// SPDX-License-Identifier: BSD-2-Clause
#include "doctor/checks.hpp"

#include <gtest/gtest.h>

#include "base/exit_code.hpp"

namespace peermr::tool {
namespace {

TEST(Release, IsComparedByNumber) {
  EXPECT_TRUE(release_at_least("6.19.0", 6, 19));
  EXPECT_TRUE(release_at_least("7.2.12+deb13-amd64", 6, 19));
  EXPECT_TRUE(release_at_least("6.20-rc1", 6, 19));
  EXPECT_FALSE(release_at_least("6.9.1", 6, 19));
  EXPECT_FALSE(release_at_least("5.99", 6, 19));
}

TEST(Release, ThatIsNoneIsTooOld) {
  for (const char* text : {"", "linux", "6", "6.", "6-19", ".6"}) {
    EXPECT_FALSE(release_at_least(text, 6, 19)) << text;
  }
}

TEST(KernelConfig, TellsOnOffAndUnknown) {
  constexpr const char* kConfig =
      "CONFIG_VFIO_PCI=m\n# CONFIG_VFIO_PCI_DMABUF is not set\nCONFIG_PCI_P2PDMA=y";
  EXPECT_EQ(config_value(kConfig, "CONFIG_VFIO_PCI"), "m");
  EXPECT_EQ(config_value(kConfig, "CONFIG_VFIO_PCI_DMABUF"), "n");
  EXPECT_EQ(config_value(kConfig, "CONFIG_PCI_P2PDMA"), "y");
  EXPECT_EQ(config_value(kConfig, "CONFIG_VFIO"), "");
}

TEST(ExitCode, TellsUnsupportedFromFailed) {
  EXPECT_EQ(exit_code_for(make_error(Errc::kPathNotSupported, "x")), kUnsupported);
  EXPECT_EQ(exit_code_for(make_error(Errc::kImporterNoDmaBuf, "x")), kUnsupported);
  EXPECT_EQ(exit_code_for(make_error(Errc::kNotOffered, "x")), kUnsupported);
  EXPECT_EQ(exit_code_for(make_error(Errc::kNoWatch, "x")), kUnsupported);
  EXPECT_EQ(exit_code_for(make_error(Errc::kDead, "x")), kFailure);
  EXPECT_EQ(exit_code_for(make_error(Errc::kStale, "x")), kFailure);
  EXPECT_EQ(exit_code_for(make_error(std::errc::operation_not_permitted, "x")), kUnsupported);
  EXPECT_EQ(exit_code_for(make_error(Errc::kNotBoundToVfio, "x")), kFailure);
  EXPECT_EQ(exit_code_for(make_error(std::errc::invalid_argument, "x")), kFailure);
}

}  // namespace
}  // namespace peermr::tool
