#!/bin/sh
# Builds the C endpoint with gcc and clang, warnings being errors, runs vectors, noise and the POS with and without
# sanitizers, and prints sizes. Says `skipped` of what is not here. Usage: test.sh
set -eu
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
warnings="-std=c99 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
sanitize="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all"
found=
for cc in gcc clang; do
    if ! command -v "$cc" >/dev/null; then
        echo "$cc: skipped: it is not installed"
        continue
    fi
    found=${found:-$cc}
    "$cc" $warnings -Os -c till_link.c -o "$out/small.o"
    size "$out/small.o" | awk -v cc="$cc" 'NR == 2 { print cc " -Os: " $1 " bytes of flash, " $2 + $3 " of static RAM" }'
    "$cc" $warnings -O1 "$out/small.o" vectors.c -o "$out/vectors"
    "$cc" $warnings -O1 "$out/small.o" example_pos.c -o "$out/example_pos"
    "$out/vectors" ../vectors
    if ! echo 'int main(void) { return 0; }' | "$cc" -x c $sanitize - -o "$out/probe" 2>/dev/null; then
        echo "$cc: skipped: sanitizers (their run-time library is not installed)"
        continue
    fi
    "$cc" $warnings $sanitize -c till_link.c -o "$out/checked.o"
    for program in vectors noise pos_test; do
        "$cc" $warnings $sanitize "$out/checked.o" "$program.c" -o "$out/$program"
    done
    "$out/vectors" ../vectors >/dev/null
    "$out/noise"
    "$out/pos_test"
done
[ -n "$found" ] || { echo "no C compiler found: install gcc or clang" >&2; exit 1; }
for limits in "1 2564" "4 2564" "16 2564" "4 1024" "4 256"; do
    set -- $limits
    "$found" $warnings "-DTL_WINDOW_MAX=${1}u" "-DTL_PAYLOAD_MAX=${2}u" size.c -o "$out/size"
    "$out/size"
done
