#!/bin/sh
# Makes manual pages: pages.sh VERSION PROGRAMS OUTPUT PROGRAM..., where PROGRAMS and OUTPUT are folders.
# The options are those that a program's --help names, so a page cannot differ from it.
set -eu
version=$1 programs=$2 output=$3
shift 3
here=$(dirname "$0")
mkdir -p "$output"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for program in "$@"; do
    "$programs/$program" --help >"$work/help"
    if grep -q '^@COMMANDS@$' "$here/$program.1.in"; then
        for command in $(awk '/^[A-Z]/ { listed = $0 == "Commands:" } listed && /^  [^ ]/ { print $1 }' "$work/help"); do
            "$programs/$program" "$command" --help >"$work/help.$command"
        done
    fi
    awk -v program="$program" -v version="$version" -v help="$work/help" -f "$here/page.awk" "$here/$program.1.in" >"$work/$program.1"
    gzip -9 -n -c "$work/$program.1" >"$output/$program.1.gz"
done
