# shellcheck shell=bash
# Brings what the build needs onto a bare Debian 12 or Ubuntu. Only what is missing is installed, and only by apt;
# nothing that stands is removed. Sourced by scripts/demo, scripts/test and .ci/run, which stand in the project's root.

say() { printf '==> %s\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# What compiles and what decodes: gcc links, GStreamer 1.14 or newer with its headers, and for H.264 in MP4
# qtdemux (good), h264parse (bad) and avdec_h264 (libav). RTSP is in good, everything else in base.
BUILD_PACKAGES=(ca-certificates gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav)
# The decoders of the link in C and Python, ONNX Runtime out of its Python wheel, the TensorRT shim in C++, and what
# decodes a camera's MJPEG.
TEST_PACKAGES=(python3 python3-pip g++
  "$(. /etc/os-release 2>/dev/null; [ "${ID:-}" = ubuntu ] && echo libturbojpeg || echo libturbojpeg0)")

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "these need root: run 'apt-get install $*' as root, or install sudo"; fi
}

is_installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

apt_is_fresh=
apt_update() {
  [ -n "$apt_is_fresh" ] || as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  apt_is_fresh=1
}

# apt_install PACKAGE...: installs those that are missing.
apt_install() {
  local missing=() package
  for package in "$@"; do is_installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  apt_update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends --no-remove "${missing[@]}" >/dev/null
}

setup_packages() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    command -v cc >/dev/null && pkg-config --exists gstreamer-1.0 gstreamer-app-1.0 gstreamer-video-1.0 2>/dev/null ||
      die "this is neither Debian nor Ubuntu: install a C compiler, pkg-config, GStreamer 1.14 or newer with its headers and the plugins base, good, bad and libav"
    return 0
  fi
  apt_install "$@"
}

# Clang and its sanitizers, the second compiler that the link's C must please. Without them link/c/test.sh says "skipped".
setup_clang() {
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || return 0
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || return 0
  local major
  if apt_install clang && major=$(clang -dumpversion | cut -d. -f1) && apt_install "libclang-rt-$major-dev"; then
    return 0
  fi
  say "clang with its sanitizers can't be had here: that part of the link's tests is skipped"
}

rust_needed() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

# at_least A B: is version A at least B?
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

rust_is_there() {
  command -v cargo >/dev/null && command -v rustc >/dev/null || return 1
  at_least "$(rustc --version 2>/dev/null | cut -d' ' -f2)" "$1"
}

# Version of package $1 that apt would install, without epoch and revision.
apt_candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \(.*:\)\?\([0-9.]*\).*/\2/p'; }

# Ubuntu's versioned toolchains have names like rustc-1.95: linked under their plain names they serve cargo.
use_versioned() {
  local bin="${CARGO_TARGET_DIR:-target}/toolchain" tool
  mkdir -p "$bin"; bin=$(cd "$bin" && pwd)
  for tool in cargo rustc rustdoc; do
    if [ -x "/usr/lib/rust-$1/bin/$tool" ]; then ln -sf "/usr/lib/rust-$1/bin/$tool" "$bin/$tool"
    elif [ -x "/usr/bin/$tool-$1" ]; then ln -sf "/usr/bin/$tool-$1" "$bin/$tool"; fi
  done
  export PATH="$bin:$PATH"
}

setup_rust() {
  local need version; need=$(rust_needed)
  rust_is_there "$need" && return 0
  if [ -x "$HOME/.cargo/bin/cargo" ]; then
    export PATH="$HOME/.cargo/bin:$PATH"
    rust_is_there "$need" && return 0
  fi
  if command -v apt-get >/dev/null; then
    apt_update
    version=$(apt_candidate cargo-web)
    if [ -n "$version" ] && at_least "$version" "$need" && apt_install cargo-web rustc-web; then
      hash -r; rust_is_there "$need" && return 0
    fi
    version=$(apt-cache pkgnames cargo-1. 2>/dev/null | sed -n 's/^cargo-\(1\.[0-9]*\)$/\1/p' | sort -V | tail -n1)
    if [ -n "$version" ] && at_least "$version" "$need" && apt_install "cargo-$version" "rustc-$version"; then
      use_versioned "$version"; rust_is_there "$need" && return 0
    fi
  fi
  say "Rust $need or newer is needed and neither here nor in the archive of this system. Install it with"
  echo "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal" >&2
  say "and run this again."
  exit 1
}

# Formatter and linter of the same toolchain.
setup_lints() {
  command -v cargo-fmt >/dev/null && command -v cargo-clippy >/dev/null && return 0
  if command -v dpkg-query >/dev/null && is_installed rustc-web; then
    apt_install rustfmt-web rust-web-clippy
  else
    die "cargo fmt or cargo clippy is missing: 'rustup component add rustfmt clippy'"
  fi
}

# ONNX Runtime's library out of its Python wheel, for the tests that hold both backends together. Without it the
# tests of that backend say "skipped", and rten runs everything.
setup_onnxruntime() {
  [ -z "${ORT_DYLIB_PATH:-}" ] || return 0
  local dir="${CARGO_TARGET_DIR:-target}/onnxruntime" library
  mkdir -p "$dir"
  library=$(find "$dir" -name 'libonnxruntime.so*' | head -n1)
  if [ -z "$library" ]; then
    if python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: -d "$dir" 'onnxruntime>=1.17' &&
      python3 -m zipfile -e "$dir"/onnxruntime-*.whl "$dir"; then
      rm -f "$dir"/onnxruntime-*.whl
      library=$(find "$dir" -name 'libonnxruntime.so*' | head -n1)
    fi
  fi
  if [ -n "$library" ]; then
    ORT_DYLIB_PATH=$(realpath "$library"); export ORT_DYLIB_PATH
    say "ONNX Runtime: $ORT_DYLIB_PATH"
  else
    say "ONNX Runtime can't be had here: its tests are skipped, rten runs the rest"
  fi
}
