#!/bin/sh
# Makes the tarball and the Debian package: package.sh VERSION PROGRAMS OUTPUT NOTICES, the last three of which are folders: of the
# native programs, of what is made, and of the licence and notices of the .NET runtime that the programs contain.
# Called by packaging.proj. The same input gives the same bytes where SOURCE_DATE_EPOCH is set.
set -eu
mkdir -p "$3"
version=$1 native=$(realpath "$2") output=$(realpath "$3") notices=$(realpath "$4")
cd "$(dirname "$0")"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH LC_ALL=C

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/vmshunt-$version
programs='vmshunt-host vmshunt-hypervisor'

for program in $programs; do
    install -D -m 755 "$native/$program" "$root/usr/bin/$program"
    install -D -m 644 completion/programs.bash "$root/usr/share/bash-completion/completions/$program"
done
# shellcheck disable=SC2086 # a list
sh man/pages.sh "$version" "$native" "$root/usr/share/man/man1" $programs
for unit in systemd/*.service; do
    install -D -m 644 "$unit" "$root/usr/lib/systemd/system/$(basename "$unit")"
done
# Management layers look here for vhost-user back-ends (QEMU, docs/interop/vhost-user.json).
install -D -m 644 qemu/60-vmshunt-host.json "$root/usr/share/qemu/vhost-user/60-vmshunt-host.json"
install -D -m 644 systemd/disk0.conf "$root/usr/share/doc/vmshunt/examples/disk0.conf"
install -D -m 644 debian/copyright "$root/usr/share/doc/vmshunt/copyright"
for notice in LICENSE.txt ThirdPartyNotices.txt; do
    if [ ! -f "$notices/$notice" ]; then
        echo "package.sh: $notices has no $notice, which belongs into a package that is passed on" >&2
        continue
    fi
    install -D -m 644 "$notices/$notice" "$root/usr/share/doc/vmshunt/dotnet-$notice"
done

# The programs may be linked with the C library only (the hypervisor loads OpenSSL itself, for SHA-256); its version is the newest that one of their symbols names.
for program in $programs; do
    needed=$(objdump -p "$native/$program" | awk '$1 == "NEEDED" { print $2 }' | grep -v -E '^(libc|libm|libdl|libpthread|librt|ld-linux-x86-64)\.so' || true)
    if [ -n "$needed" ]; then
        echo "package.sh: $program needs $needed, which debian/control does not name" >&2
        exit 1
    fi
done
libc=$(for program in $programs; do objdump -T "$native/$program"; done | grep -o 'GLIBC_[0-9.]*' | sort -V | tail -n 1 | sed 's/GLIBC_//')

find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
rm -f "$output"/vmshunt-*.tar.gz "$output"/vmshunt_*_amd64.deb
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner -c "vmshunt-$version" | gzip -9 -n >"$output/vmshunt-$version-linux-x64.tar.gz"

mkdir "$root/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@LIBC@/$libc/" -e "s/@SIZE@/$(du -sk --apparent-size "$root" | cut -f 1)/" debian/control >"$root/DEBIAN/control"
dpkg-deb --root-owner-group --build "$root" "$output/vmshunt_${version}_amd64.deb" >/dev/null
ls -l "$output"
