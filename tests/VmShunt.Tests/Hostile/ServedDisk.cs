using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockBackend.VirtioBlk;
using VmShunt.BlockBackend.VirtioBlk.Serving;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Hostile;

/// <summary>VM-H's virtio-blk device on a disk, for any number of concurrent sessions.</summary>
internal sealed class ServedDisk(PortDriver port, int blockBytes = 512, int pollers = 0, ILogger? log = null) : IDisposable
{
    internal const int Queues = 2, MaxQueueSize = 1024;

    private readonly List<Thread> _sessions = [];

    /// <summary>What the back-ends reported.</summary>
    internal ConcurrentQueue<string> Reports { get; } = new();

    internal VirtualizationDriver Disk { get; } = new(new HostClassDriver(port, NullLogger.Instance), "SERIAL", blockBytes);

    internal PollGroups Pollers { get; } = new(pollers, WaitPolicy.Never);

    /// <summary>A disk of 16 MiB, filled with ABh.</summary>
    /// <param name="blockBytes">512 or 4096.</param>
    /// <param name="pollers">The number of poll groups; with 0, each ring has its own thread.</param>
    internal static ServedDisk InMemory(int blockBytes = 512, int pollers = 0)
    {
        var served = new ServedDisk(new MemoryPortDriver(Bytes), blockBytes, pollers);
        served.Fill();
        return served;
    }

    internal const long Bytes = 16 << 20;

    /// <summary>Opens a session.</summary>
    /// <returns>The front-end's end of it.</returns>
    internal UnixConnection Connect()
    {
        var (mine, its) = UnixConnection.CreatePair();
        var thread = new Thread(() =>
        {
            using var device = new VirtioBlkDevice(Disk, Queues, MaxQueueSize);
            var blk = new VhostUserBlkDevice(device, Queues, MaxQueueSize, WaitPolicy.Never, Pollers, log ?? NullLogger.Instance);
            using var backend = new VhostUserBackend(new VhostUserConnection(its), blk, Reports.Enqueue);
            Disk.CapacityChanged += backend.NotifyConfigChanged;
            backend.Run();
            Disk.CapacityChanged -= backend.NotifyConfigChanged;
        });
        _sessions.Add(thread);
        thread.Start();
        return mine;
    }

    public void Dispose()
    {
        foreach (var session in _sessions) Assert.True(session.Join(60_000), "a session does not complete");
        Pollers.Dispose();
        Disk.Dispose();
    }

    private void Fill()
    {
        using var ram = new TestMemory(1 << 20);
        var pieces = new VmShunt.Ring.Memory.IoVectors();
        ram.Span(TestMemory.Start, ram.Bytes).Fill(0xab);
        for (var at = 0L; at < Bytes; at += ram.Bytes)
        {
            pieces.Clear();
            Assert.True(ram.Memory.TryAppend(TestMemory.Start, (ulong)ram.Bytes, false, pieces));
            Assert.Equal(DiskStatus.Ok, Disk.Write((ulong)at / 512, pieces, new VmShunt.Ring.Memory.SharedFlag()));
        }
    }
}
