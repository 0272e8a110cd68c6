namespace VmShunt.EndToEnd.Qemu;

/// <summary>Devices and memory that are added to a running Linux guest and removed, and resets at any moment, all under verified load.</summary>
public sealed class HotPlugTests(PluggableGuest guest) : IClassFixture<PluggableGuest>
{
    private const int Resets = 20;

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Sid)]
    public Task A_disk_is_plugged_in_and_out(string _) => guest.UnderLoadAsync(async () =>
    {
        var (disk, socket) = await guest.StartDiskAsync("vdc");
        await using (disk)
        {
            foreach (var packed in new[] { false, true })
            {
                await guest.Monitor.ExecuteAsync(
                    "chardev-add", $$$$"""{"id":"hot","backend":{"type":"socket","data":{"addr":{"type":"unix","data":{"path":"{{{{socket}}}}"}},"server":false}}}""");
                await guest.Monitor.ExecuteAsync(
                    "device_add", $$$"""{"driver":"vhost-user-blk-pci","id":"hot0","chardev":"hot","bus":"{{{PluggableGuest.Port}}}","packed":{{{(packed ? "true" : "false")}}}}""");
                await Until.TrueAsync(async () => (await guest.Guest.TryAsync("test -b /dev/vdc")).Code == 0, "the guest finds the disk");
                await disk.StartLoadAsync();
                await disk.ProgressAsync("it was plugged in");
                await disk.AssertLoadWellAsync();

                await guest.Monitor.ExecuteAsync("device_del", """{"id":"hot0"}""");
                await Until.TrueAsync(async () => (await guest.Guest.TryAsync("test -b /dev/vdc")).Code != 0, "the guest releases the disk");
                // QEMU refuses it while the device exists.
                await Until.TrueAsync(() => guest.Monitor.TryExecuteAsync("chardev-remove", """{"id":"hot"}"""), "QEMU removes the device");
            }
        }
    });

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Sid)]
    public Task Memory_is_added_and_disks_use_it(string _) => guest.UnderLoadAsync(async () =>
    {
        var before = await MemoryAsync();
        await guest.Monitor.ExecuteAsync("object-add", """{"qom-type":"memory-backend-memfd","id":"more","size":134217728,"share":true}""");
        await guest.Monitor.ExecuteAsync("device_add", """{"driver":"pc-dimm","id":"dimm0","memdev":"more"}""");
        await Until.TrueAsync(
            async () =>
            {
                await guest.Guest.TryAsync("for state in /sys/devices/system/memory/memory*/state; do echo online > $state; done");
                return await MemoryAsync() > before + (100 << 10);
            },
            "the guest uses the memory");
        Assert.All(guest.Disks, static disk => Assert.True(File.ReadLines($"/proc/{disk.Host.Id}/maps").Count(static line => line.Contains("memfd:memory-backend", StringComparison.Ordinal)) > 1));
        // More than the guest had free before, so that pages of the new memory are read from the disk and written to it.
        await guest.Guest.RunAsync("mkdir -p /more; mount -t tmpfs -o size=120m none /more; head -c 104857600 /dev/zero > /more/fill");
        await guest.ProgressAsync("memory was added");
        await guest.Guest.RunAsync("umount /more");
    });

    /// <summary>In the load, in the firmware, and at the moments of the boot in which the kernel sets the disks up.</summary>
    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Sid)]
    public Task The_guest_is_reset_twenty_times(string _) => guest.UnderLoadAsync(async () =>
    {
        for (var resets = 0; resets < Resets; resets++)
        {
            await guest.Monitor.ExecuteAsync("system_reset");
            await Task.Delay(resets * 50);
        }
        await guest.Guest.WaitForAsync(QemuGuest.Ready);
        await guest.StartLoadAsync();
    });

    private async Task<long> MemoryAsync() => long.Parse((await guest.Guest.RunAsync("grep MemTotal /proc/meminfo")).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]);
}
