#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# rootfs-source.sh ROOT: the source of the installed rdma-core, to /usr/src/rdma-core. A provider needs its private
# header infiniband/driver.h, which no package carries. Everything but the provider works without.
set -u
root=$1
target=usr/src/rdma-core

# shellcheck disable=SC2016 # dpkg-query expands it
version=$(chroot "$root" dpkg-query -W -f '${source:Version}' rdma-core)
upstream=${version%-*}
mkdir -p "$root/tmp/source"

# Mirrors may lack the .dsc. The tarball is enough, so apt's exit status says little.
# shellcheck disable=SC2016 # expanded by the inner shell
chroot "$root" sh -c 'cd /tmp/source && apt-get -q source --download-only "rdma-core=$1"' sh "$version"
tarball=$(find "$root/tmp/source" -name "rdma-core_$upstream.orig.tar.*" ! -name '*.asc' | head -n 1)
if [ -n "$tarball" ]; then
  mkdir -p "$root/$target"
  tar -xf "$tarball" --strip-components=1 -C "$root/$target" || rm -rf "${root:?}/$target"
fi
rm -rf "$root/tmp/source"
if [ -e "$root/$target/libibverbs/driver.h" ]; then
  echo "rdma-core $upstream: source in /$target"
else
  echo "the source of rdma-core $version cannot be had from this mirror: the libibverbs provider will be left out" |
    tee "$root/etc/peermr-lab/no-rdma-core-source"
fi
exit 0
