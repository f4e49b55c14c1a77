# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the lab needs of the machine it runs on.

# require_root_and_namespaces: mounts are made in private namespaces, so that none is ever left behind.
require_root_and_namespaces() {
  [[ $(uname -m) == x86_64 ]] || die "the lab runs on x86-64 only; this machine is $(uname -m)"
  ((EUID == 0)) || die "the lab needs root, for mounts in namespaces of its own: sudo $LAB_COMMAND_LINE"
  unshare --mount --pid --fork --net --propagation private true 2>/dev/null ||
    die "this machine does not let us make mount, PID and network namespaces" \
      "in a container: docker run --privileged …"
}

# install_host_packages: the few packages without which nothing else can be built.
install_host_packages() {
  local missing=() entry
  for entry in mmdebstrap:mmdebstrap cpio:cpio xz:xz-utils setpriv:util-linux flock:util-linux; do
    [[ -n $(type -P "${entry%%:*}") ]] || missing+=("${entry#*:}")
  done
  [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
  ((${#missing[@]})) || return 0
  [[ -n $(type -P apt-get) ]] || die "this is not a Debian machine: please install ${missing[*]}"
  # In the foreground: a package manager is better not killed.
  say "installing on this machine: ${missing[*]}"
  {
    apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 install -y \
      --no-install-recommends "${missing[@]}"
  } >"$LAB_LOGS/host.log" 2>&1 </dev/null || {
    tail -n 15 "$LAB_LOGS/host.log" | sed 's/^/  | /' >&2
    die "cannot install ${missing[*]}" "whole log: $LAB_LOGS/host.log"
  }
}

# require_space KIB: enough room where the cache is.
require_space() {
  local free
  free=$(df --output=avail -k "$LAB_CACHE" | tail -n 1)
  ((free >= $1)) || die "$LAB_CACHE: $((free / 1024)) MiB free, $(($1 / 1024)) MiB needed" \
    "PEERMR_CACHE=DIR puts the cache elsewhere"
}
