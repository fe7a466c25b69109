#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, then every test. The practice stack that the last
# tests need is installed and started by rampup itself (apt and a Python environment, as root; nothing that already
# runs is touched) and stopped again at the end.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo fmt --check
cargo clippy --all-targets --quiet -- -D warnings
cargo test --no-fail-fast
