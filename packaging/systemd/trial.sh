#!/bin/sh
# Runs a real systemd with the units of this folder, and says for each check whether it passed:
#
#     dotnet build VmShunt.sln -c Release && dotnet build packaging -c Release      # once
#     sudo packaging/systemd/trial.sh
#
# systemd is PID 1 of namespaces of its own: mounts, processes, network, host name and cgroups. Every folder that it writes to is a
# tmpfs or an overlay that only it sees; the services are the native binaries of artifacts/native. Nothing is left behind.
set -eu

repository=$(cd "$(dirname "$0")/../.." && pwd)
name=vmshunt-trial-$$

outside() {
    results=$(mktemp -d)
    # A cgroup of its own in every hierarchy, so that what systemd makes is inside it.
    groups=
    for hierarchy in $(awk '$3 ~ /^cgroup2?$/ { print $2 }' /proc/mounts); do
        own=$hierarchy$(awk -F: -v controller="$(basename "$hierarchy")" '$2 ~ "(^|,|=)" controller "$" { print $3 }' /proc/self/cgroup)/$name
        mkdir "$own" && groups="$groups $own"
    done
    for own in $groups; do
        for file in cpuset.cpus cpuset.mems; do [ ! -e "$own/$file" ] || cat "$own/../$file" > "$own/$file"; done
    done
    sh -c 'for own in '"$groups"'; do echo $$ > "$own/cgroup.procs"; done; exec "$@"' sh \
        unshare --mount --pid --fork --uts --ipc --net --cgroup --propagation private --kill-child=KILL "$0" inside "$results" &
    machine=$!
    # unshare ignores SIGTERM; PID 1, and with it all, is killed when unshare is.
    trap 'kill -KILL "$machine" 2> /dev/null || true' EXIT INT TERM
    for _ in $(seq 1200); do
        if [ -e "$results/status" ] || ! kill -0 "$machine" 2> /dev/null; then break; fi
        sleep 0.1
    done
    kill -KILL "$machine" 2> /dev/null || true
    wait "$machine" 2> /dev/null || true
    for own in $groups; do
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            find "$own" -depth -type d -exec rmdir {} + 2> /dev/null && break
            sleep 0.2
        done
    done
    grep -E '^(ok|FAILED)' "$results/checks.txt" || { echo 'FAILED: systemd did not run the checks:'; cat "$results/systemd.txt"; }
    if [ "$(cat "$results/status" 2> /dev/null)" = 0 ]; then rm -r "$results"; else echo "the logs are in $results"; exit 1; fi
}

inside() {
    results=$1
    mount -t tmpfs none /mnt
    mkdir /mnt/repository /mnt/results /mnt/units /mnt/disk /mnt/dev
    mount --bind "$repository" /mnt/repository
    mount -o remount,bind,ro /mnt/repository
    mount --bind "$results" /mnt/results
    for folder in usr/bin etc; do
        mkdir -p "/mnt/over/$folder" "/mnt/overlay/$folder"
        mount -t overlay -o "lowerdir=/$folder,upperdir=/mnt/over/$folder,workdir=/mnt/overlay/$folder" none "/$folder"
    done
    cp /mnt/repository/artifacts/native/vmshunt-host /mnt/repository/artifacts/native/vmshunt-hypervisor /usr/bin/
    cp /mnt/repository/packaging/systemd/*.service /mnt/units/
    mkdir /etc/vmshunt
    sed 's#/var/lib/vmshunt#/mnt/disk#' /mnt/repository/packaging/systemd/disk0.conf > /etc/vmshunt/disk0.conf
    # Without holes, which mapped reads would fill on a tmpfs.
    head -c 8M /dev/zero > /mnt/disk/disk0.img
    : > /etc/fstab
    rm -f /etc/machine-id
    echo 0123456789abcdef0123456789abcdef > /etc/machine-id

    # No other unit of this machine: the targets that the units are ordered by, and one service for the checks.
    for target in sysinit basic multi-user network-online shutdown umount; do printf '[Unit]\nDefaultDependencies=no\n' > "/mnt/units/$target.target"; done
    printf '[Unit]\nRequires=checks.service\n' > /mnt/units/trial.target
    printf '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nExecStart=/bin/sh /mnt/repository/packaging/systemd/trial.sh checks\nStandardOutput=file:/mnt/results/checks.txt\nStandardError=file:/mnt/results/checks.txt\n' > /mnt/units/checks.service
    for service in vmshunt-host vmshunt-hypervisor; do
        mkdir "/mnt/units/$service@.service.d"
        printf '[Service]\nStandardOutput=append:/mnt/results/%s.txt\nStandardError=append:/mnt/results/%s.txt\n' "$service" "$service" > "/mnt/units/$service@.service.d/log.conf"
    done

    for device in null zero full random urandom tty; do touch "/mnt/dev/$device"; mount --bind "/dev/$device" "/mnt/dev/$device"; done
    mkdir /mnt/dev/shm /mnt/dev/pts
    touch /mnt/dev/console
    ln -s /proc/self/fd /mnt/dev/fd
    mount --rbind /mnt/dev /dev
    mount -t proc proc /proc
    mount --bind /proc/sys /proc/sys
    mount -o remount,bind,ro /proc/sys
    mount -t tmpfs -o mode=755 none /sys/fs/cgroup
    if grep -q '^0::/' /proc/self/cgroup && ! grep -q name=systemd /proc/self/cgroup; then
        mount -t cgroup2 none /sys/fs/cgroup
    else
        mkdir /sys/fs/cgroup/systemd
        mount -t cgroup -o none,name=systemd none /sys/fs/cgroup/systemd
    fi
    for folder in /var/tmp /var/log /var/lib /run /tmp; do mount -t tmpfs -o mode=755 none "$folder"; done
    chmod 1777 /tmp /var/tmp
    hostname vmshunt-trial
    exec env -i container=vmshunt-trial PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/mnt/units \
        /lib/systemd/systemd --system --unit=trial.target --log-target=console > /mnt/results/systemd.txt 2>&1 < /dev/null
}

check() {
    what=$1
    shift
    # A service may need a moment.
    for _ in $(seq 100); do
        if "$@" > /mnt/results/last.txt 2>&1; then
            echo "ok: $what"
            return
        fi
        sleep 0.1
    done
    echo "FAILED: $what: $*"
    cat /mnt/results/last.txt
    failed=1
}

shows() { [ "$(systemctl show -P "$2" "$1@disk0")" = "$3" ]; }

has() { grep -q "$2" "/proc/$(systemctl show -P MainPID "$1@disk0")/status"; }

guest() { HOME=/tmp dotnet /mnt/repository/src/Guest/Loader/bin/Release/net10.0/vmshunt-guest.dll --hypervisor /run/vmshunt-hypervisor/disk0/hypervisor.sock "$@"; }

checks() {
    failed=0
    check 'systemctl start vmshunt-hypervisor@disk0' systemctl start vmshunt-hypervisor@disk0
    check 'VM-H was started before it and is ready (sd_notify)' shows vmshunt-host SubState running
    check 'the hypervisor runs' shows vmshunt-hypervisor SubState running
    for service in vmshunt-host vmshunt-hypervisor; do
        check "$service has no way to new privileges" has $service 'NoNewPrivs:.1'
        check "$service is under seccomp filters" has $service 'Seccomp:.2'
    done
    check 'the group may connect to the sockets and others may not' test "$(stat -c %a /run/vmshunt/disk0/ring.sock)" = 770
    check 'reads are copied from the page cache: no filter forbids the guarded copy' grep -q 'engine mmap, guarded copy' /mnt/results/vmshunt-host.txt
    check 'a guest writes and flushes on the ring path' guest fill --sector 0 --count 2048 --seed 7
    check 'a guest reads the disk on the trap path' guest --mode emulating hash
    truncate -s 16M /mnt/disk/disk0.img
    check 'systemctl reload vmshunt-host@disk0' systemctl reload vmshunt-host@disk0
    check 'VM-H serves the new size' grep -q 'the capacity changed from 16384 to 32768 sectors' /mnt/results/vmshunt-host.txt
    kill -KILL "$(systemctl show -P MainPID vmshunt-host@disk0)"
    check 'VM-H is restarted after it was killed' shows vmshunt-host NRestarts 1
    check 'it is ready again' shows vmshunt-host SubState running
    check 'a guest reads the disk on the ring path' guest --mode enlightened hash
    check 'systemctl stop vmshunt-host@disk0' systemctl stop vmshunt-host@disk0
    check 'the hypervisor was stopped with it' shows vmshunt-hypervisor ActiveState inactive
    check 'neither service failed at its stop' test "$(systemctl show -P Result vmshunt-host@disk0 vmshunt-hypervisor@disk0 | tr -s '\n' ' ')" = 'success success '
    check 'their sockets are removed' test ! -e /run/vmshunt/disk0 -a ! -e /run/vmshunt-hypervisor/disk0
    echo $failed > /mnt/results/status
}

case ${1-} in
    inside) inside "$2" ;;
    checks) checks ;;
    *) outside ;;
esac
