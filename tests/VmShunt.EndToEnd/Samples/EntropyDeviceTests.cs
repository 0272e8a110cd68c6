using VmShunt.EndToEnd.Processes;
using VmShunt.EndToEnd.Qemu;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Samples;

/// <summary>The sample EntropyDevice, a device of another type than a disk, in a Linux guest in QEMU.</summary>
public sealed class EntropyDeviceTests : IDisposable
{
    // Linux asks for 64 bytes at a time.
    private const int Bytes = 2048;

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [LinuxGuestTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Linux_reads_random_bytes_from_the_entropy_device(bool packed)
    {
        var socket = _folder["rng"];
        await using var device = await Programs.StartReadyAsync("EntropyDevice", socket);
        await using (var guest = await QemuGuest.BootLinuxAsync(1, QemuGuest.Entropy(socket, packed)))
        {
            Assert.Equal("virtio_rng.0", await guest.RunAsync("cat /sys/class/misc/hw_random/rng_current"));
            var features = await guest.RunAsync("cat /sys/bus/virtio/devices/virtio0/features");
            Assert.Equal(packed ? '1' : '0', features[34]);
            await guest.RunAsync($"head -c {Bytes} /dev/hwrng > /first && head -c {Bytes} /dev/hwrng > /second");
            Assert.Equal($"{Bytes}", await guest.RunAsync("wc -c < /first"));
            Assert.NotEqual(await guest.RunAsync("sha256sum < /first"), await guest.RunAsync("sha256sum < /second"));
            // Random bytes do not compress.
            Assert.InRange(int.Parse(await guest.RunAsync("gzip -c /first | wc -c")), Bytes, 2 * Bytes);
        }
        ProcessTable.Send(device.Id, Signal.Terminate);
        var end = await Programs.WaitForEndAsync(device);
        Assert.Equal(0, end.ExitCode);
        Assert.Equal(["session 1: opened (Entropy)", "session 1: closed: rings stopped, guest memory released (the front-end closed it)"], end.Errors);
    }

    [Fact]
    public async Task A_wrong_use_of_the_sample_says_what_is_wrong()
    {
        var usage = await Programs.RunAsync("EntropyDevice");
        Assert.Equal((1, "usage: EntropyDevice SOCKET"), (usage.ExitCode, usage.ErrorText));
    }
}
