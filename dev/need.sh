#!/usr/bin/env bash
# Sees to it that a package of the system's is there, for the Makefile and CI, from anywhere:
# dev/need.sh PACKAGE TEST. If the command TEST fails, the package is installed on Debian and Ubuntu
# by root, and by anybody in CI; everywhere else this ends with what is to be done.
set -euo pipefail

package=$1
if bash -c "$2" >/dev/null 2>&1; then
    exit
fi
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
if ! command -v apt-get >/dev/null || { [ -n "${sudo[*]}" ] && [ -z "${CI:-}" ]; }; then
    echo "A program is missing. On Debian and Ubuntu: sudo apt-get install $package" >&2
    exit 1
fi
echo "Installing $package" >&2
log=$(mktemp)
trap 'rm "$log"' EXIT
# Quiet unless it fails, and without questions.
if ! { "${sudo[@]}" apt-get update && "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends "$package"; } >"$log" 2>&1; then
    cat "$log" >&2
    exit 1
fi
