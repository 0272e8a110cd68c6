using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Memory;
using VmShunt.BlockDriver.Requests;
using VmShunt.BlockDriver.Virtio;
using VmShunt.Guest.Enlightened;
using VmShunt.Guest.Machine;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;

namespace VmShunt.Tests.Guest.Kernel.Enlightened;

/// <summary>The disk of a guest that has only the bus, over a socket.</summary>
public class RemoteDiskTests
{
    [Fact]
    public async Task A_disk_reads_back_what_it_wrote_and_outlives_its_connection()
    {
        using var socket = new ServedSocket(new MemoryPortDriver(1 << 20));
        var ram = GuestRam.Create(16 << 20);
        var pages = ram.Pages();
        using var disk = RemoteDisk.Start(socket.Path, TimeSpan.Zero, (connection, lost) => Open(connection, lost, ram, pages), new CrashGate(), static _ => { });
        var buffer = pages.Allocate(4096);
        buffer.Span.Fill(0x3C);
        await disk.Disk.WriteAsync(8, buffer);
        await Task.Yield();
        socket.Disconnect();
        buffer.Span.Clear();
        await disk.Disk.ReadAsync(8, buffer).AsTask().WaitAsync(TimeSpan.FromSeconds(60));
        // Off the queue's thread, for which a failing test's disposal waits.
        await Task.Yield();
        Assert.True(buffer.Span.IndexOfAnyExcept((byte)0x3C) < 0);
        Assert.True(SpinWait.SpinUntil(() => disk.Port.Reconnects == 1, TimeSpan.FromSeconds(60)));
        Assert.Equal("enlightened", disk.Disk.StackName);
    }

    [Fact]
    public void Without_a_socket_to_connect_to_it_fails()
    {
        var ram = GuestRam.Create(16 << 20);
        Assert.Throws<IOException>(() => RemoteDisk.Start("/nonexistent/socket", TimeSpan.Zero, (connection, lost) => Open(connection, lost, ram, ram.Pages()), new CrashGate(), static _ => { }));
    }

    private static BusChannel Open(UnixConnection connection, Action<string> lost, GuestRam ram, GuestPages pages) => BusChannel.Open(
        connection, ram, pages, new BusOptions(1, WaitPolicy.Adaptive, RingLayout.Auto),
        new QueueThreadOptions(WaitPolicy.Adaptive, new CrashGate(), static () => { }, static () => { }, lost, static _ => { }));
}
