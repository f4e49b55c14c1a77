# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Which Debian mirror, and how to reach it: what this machine's own apt uses. apt itself reads its configuration for
# us (.sources and .list files alike), so that whatever it understands, we do.

# find_mirror: prints the URI of a Debian archive. PEERMR_MIRROR overrides.
find_mirror() {
  local uri
  if [[ -n ${PEERMR_MIRROR:-} ]]; then
    echo "${PEERMR_MIRROR%/}"
    return
  fi
  uri=$(debian_archives | head -n 1)
  [[ -n $uri ]] || die "no Debian archive in this machine's apt sources (/etc/apt/sources.list, sources.list.d)" \
    "add one, or name a mirror: PEERMR_MIRROR=http://… $LAB_COMMAND_LINE"
  case $uri in
    mirror+file:*) uri=$(first_of_mirror_list "${uri#mirror+file:}") ;;
  esac
  echo "${uri%/}"
}

# Archives that carry a Debian release itself: not its security updates (another tree), not third parties.
debian_archives() {
  # shellcheck disable=SC2016 # apt expands these
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk '$3 == "main" && $1 !~ /security/ && $1 !~ /^(cdrom|file|copy):/ &&
         $2 ~ /^(stable|oldstable|testing|sid|unstable|bookworm|trixie|forky)(-updates|-backports)?$/ { print $1 }'
}

first_of_mirror_list() {
  local path=${1%/}
  awk '$1 ~ /^https?:/ { print $1; exit }' "/${path#"${path%%[!/]*}"}"
}

# apt_settings: the parts of this machine's apt configuration that say how archives are reached (proxies, validity
# dates of snapshots), as lines of apt.conf.
apt_settings() {
  apt-config dump | grep -E '^Acquire::(https?|ftp|Check-|Retries|ForceIPv)' |
    grep -v -E '::Proxy-Auto-Detect|User-Agent|"";$' || true
  auto_detected_proxy "$1"
  echo 'Acquire::Languages "none";'
  echo 'APT::Install-Recommends "false";'
}

# A program that finds the proxy would not be there in the new system: ask it now.
auto_detected_proxy() {
  local program proxy detector=
  eval "$(apt-config shell program Acquire::http::Proxy-Auto-Detect detector Acquire::http::ProxyAutoDetect)"
  program=${program:-$detector}
  [[ -n $program ]] || return 0
  proxy=$("$program" "$1" 2>/dev/null | head -n 1) || true
  [[ -z $proxy || $proxy == DIRECT ]] || printf 'Acquire::http::Proxy "%s";\n' "$proxy"
}
