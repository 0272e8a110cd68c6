#!/usr/bin/env bash
# Unpacks QEMU and its UEFI firmware from Debian's sid into a folder: tests/qemu-sid.sh FOLDER
# The vfio-user client is in QEMU 10.2 and later, which stable releases of Debian do not have. Nothing is installed: apt gets a
# state of its own that looks at sid through the machine's own mirror.
set -euo pipefail
folder=$1
new=$(realpath -m "$folder.new")
rm -rf "$new"
mkdir -p "$new/apt/lists/partial" "$new/apt/cache/archives/partial"
awk 'NF == 0 { exit } /^Suites:/ { print "Suites: sid"; next } { print }' /etc/apt/sources.list.d/debian.sources > "$new/apt/sid.sources"
: > "$new/apt/status"
apt=(apt-get -qq -o Dir::Etc::sourcelist="$new/apt/sid.sources" -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$new/apt/lists"
    -o Dir::State::status="$new/apt/status" -o Dir::Cache="$new/apt/cache" -o APT::Sandbox::User=root)
"${apt[@]}" update
# With an empty status the libraries come, too.
"${apt[@]}" install -y --download-only --no-install-recommends qemu-system-x86 ovmf >/dev/null
for package in "$new"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$new"; done
rm -rf "$new/apt" "$folder"
mv "$new" "$folder"
