#!/usr/bin/env bash
# Installs the Debian packages that Wrenn needs and that are missing; with
# everything there it touches neither the machine nor the network.
# Usage: install-packages.sh run|test
set -euo pipefail

purpose=${1:?usage: install-packages.sh run|test}
list=$(dirname "$0")/../internal/doctor/packages.txt
# A plain user's PATH leaves the sbin directories out.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

present() {
  case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

missing=()
while read -r needed_for package shown_by; do
  case $needed_for in
    run) ;;
    test) [ "$purpose" = test ] || continue ;;
    *) continue ;; # a comment or an empty line
  esac
  present "$shown_by" || missing+=("$package")
done <"$list"
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "This is not Debian or Ubuntu: install what provides these packages yourself: ${missing[*]}" >&2
  exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "Installing packages needs root; as root run: apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  }
  sudo=(sudo)
fi

# Wrenn runs a cluster of its own: a server installed for Wrenn shall not come
# with one of the system's. Later installs are not affected.
setting=/etc/postgresql-common/createcluster.d/wrenn.conf
case " ${missing[*]} " in
  *" postgresql "*)
    trap '"${sudo[@]}" rm -f "$setting"' EXIT
    "${sudo[@]}" mkdir -p "$(dirname "$setting")"
    echo "create_main_cluster = false" | "${sudo[@]}" tee "$setting" >/dev/null
    ;;
esac

echo "Installing Debian packages: ${missing[*]}"
"${sudo[@]}" apt-get update -q
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
