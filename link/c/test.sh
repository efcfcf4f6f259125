#!/bin/sh
# Builds the C endpoint with every compiler found, warnings being errors, and runs the vectors with and
# without sanitizers. Usage: test.sh; needs gcc or clang.
set -eu
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
warnings="-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
found=0
for cc in gcc clang; do
    command -v "$cc" >/dev/null || continue
    found=$((found + 1))
    "$cc" $warnings -Os -c till_link.c -o "$out/till_link.o"
    "$cc" $warnings -O2 till_link.c vectors.c -o "$out/vectors"
    "$cc" $warnings -O2 till_link.c example_pos.c -o "$out/example_pos"
    "$out/vectors" ../vectors
    sanitize="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all"
    if echo 'int main(void) { return 0; }' | "$cc" -x c $sanitize - -o "$out/probe" 2>/dev/null; then
        "$cc" $warnings $sanitize till_link.c vectors.c -o "$out/vectors_checked"
        "$cc" $warnings $sanitize till_link.c noise.c -o "$out/noise"
        "$out/vectors_checked" ../vectors >/dev/null
        "$out/noise"
    else
        echo "$cc: skipped: sanitizers (their run-time library is not installed)"
    fi
    size "$out/till_link.o" | awk -v cc="$cc" 'NR == 2 { print cc " -Os: " $1 " bytes of flash" }'
done
[ "$found" -gt 0 ] || { echo "no C compiler found: install gcc or clang" >&2; exit 1; }
