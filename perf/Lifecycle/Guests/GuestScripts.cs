namespace VmShunt.Perf.Lifecycle.Guests;

/// <summary>Programs of the guest that run beside its console: a disk that is lost must not hold that.</summary>
internal static class GuestScripts
{
    /// <summary>As (name, text).</summary>
    internal static IReadOnlyList<(string Name, string Text)> All { get; } = [("load", Load), ("rebind", Rebind)];

    // Buffered writes and a sync make several requests at once, and a flush; the direct read comes from the disk. An error while
    // the driver is unbound is expected, and the round is repeated.
    private const string Load =
        """
        #!/bin/sh
        # load NAME FIRST END: writes, reads back and compares rounds FIRST to END - 1 of LoadImage, until /stop-NAME exists.
        name=$1 i=$2
        echo $i > /count-$name
        touch /runs-$name
        while [ ! -e /stop-$name ] && [ $i -lt $3 ]; do
            if [ -e /pause-$name ]; then touch /paused-$name; sleep 0.1; continue; fi
            to=$((i % 16 * 16)) from=$((i % 15))
            if {
                dd if=/seed bs=64k skip=$from count=16 of=/proc/self/fd/3 seek=$to conv=notrunc,fsync &&
                dd if=/proc/self/fd/3 bs=64k skip=$to count=16 iflag=direct | cmp -n 1048576 - /seed 0 $((from * 65536))
            } 3<> /dev/$name > /said-$name 2>&1; then
                i=$((i + 1))
            elif [ ! -e /pause-$name ]; then
                { echo "round $i:"; cat /said-$name; } >> /bad-$name
                i=$((i + 1))
            fi
            echo $i > /count-$name
        done
        rm /runs-$name
        echo over > /over-$name

        """;

    private const string Rebind =
        """
        #!/bin/sh
        # rebind NAME...: takes the disks from their driver and gives them back, one by one, so that each keeps its name.
        for name in $*; do
            device=$(basename $(readlink -f /sys/block/$name/device))
            rm -f /paused-$name
            touch /pause-$name
            echo $device > /sys/bus/virtio/drivers/virtio_blk/unbind
            # The name is free when the load has closed the disk.
            while [ -e /runs-$name ] && [ ! -e /paused-$name ]; do sleep 0.1; done
            echo $device > /sys/bus/virtio/drivers/virtio_blk/bind
            while [ ! -b /dev/$name ]; do sleep 0.1; done
            rm /pause-$name
            echo over > /rebound-$name
        done

        """;
}
