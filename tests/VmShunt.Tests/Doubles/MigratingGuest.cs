using System.Numerics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.Tests.Doubles;

/// <summary>
/// A guest whose memory a front-end copies while it runs, as a migration does: all of it once, then the pages that the dirty
/// log names. Its driver has the first ring of a device.
/// </summary>
internal sealed class MigratingGuest<TQueue> : IDisposable where TQueue : struct, IDriverQueue
{
    internal const int QueueSize = 32, PageBytes = 4096;
    internal const ulong Descriptors = TestMemory.Start, Driver = TestMemory.Start + 0x3000, Device = TestMemory.Start + 0x5000;

    private const ulong LogAll = 1UL << 26, ProtocolFeatures = 1UL << 30, Headers = TestMemory.Start + 0x8000;
    private const int RamBytes = 1 << 20, FirstData = 0x1_0000;

    private readonly TestMemory _ram = new(RamBytes);
    private readonly byte[] _copy = new byte[RamBytes];
    private readonly SafeFileHandle _logFile;
    private readonly MemoryRegion _logRegion;
    private readonly GuestMemory _log;
    private readonly VhostUserConnection _frontend;
    private readonly Thread _session;
    private readonly EventFd _kick = EventFd.Create(), _call = EventFd.Create();
    private readonly ulong _features;
    private TQueue _queue;

    /// <param name="device">The device; not owned.</param>
    /// <param name="queue">Makes the driver's side of its first ring.</param>
    /// <param name="features">The features that the driver accepts.</param>
    internal MigratingGuest(IVhostUserDevice device, Func<TestMemory, TQueue> queue, VirtioBlkFeatures features)
    {
        var (mine, its) = UnixConnection.CreatePair();
        var backend = new VhostUserBackend(new VhostUserConnection(its), device, _ => { });
        _session = new Thread(() =>
        {
            using (backend) End = backend.Run();
        });
        _session.Start();
        _frontend = new VhostUserConnection(mine);
        _features = (ulong)(VirtioBlkFeatures.Version1 | features);
        LogBytes = (int)((_ram.End + PageBytes * 8 - 1) / (PageBytes * 8) + 7) & ~7;
        _logFile = SharedMemoryFile.Create("log", LogBytes);
        _logRegion = MemoryRegion.Map(_logFile, 0, (ulong)LogBytes, 0);
        _log = new GuestMemory(_logRegion);
        Assert.Equal((ulong)VhostUserProtocolFeatures.LogSharedMemory, Query(VhostUserRequest.GetProtocolFeatures) & (ulong)VhostUserProtocolFeatures.LogSharedMemory);
        Assert.Equal(LogAll, Query(VhostUserRequest.GetFeatures) & LogAll);
        Ask(VhostUserRequest.SetProtocolFeatures, (ulong)(VhostUserProtocolFeatures.ReplyAck | VhostUserProtocolFeatures.LogSharedMemory | VhostUserProtocolFeatures.ConfigureMemSlots));
        Ask(VhostUserRequest.SetFeatures, _features | ProtocolFeatures);
        var region = new byte[8 + VhostUserMemoryRegion.Bytes];
        // The front-end has the memory elsewhere than the guest.
        MemoryMarshal.Write(region.AsSpan(8), new VhostUserMemoryRegion { GuestAddress = TestMemory.Start, Size = RamBytes, UserAddress = TestMemory.Start + UserOffset });
        Ask(VhostUserRequest.AddMemReg, region, _ram.File);
        _queue = queue(_ram);
        Ask(VhostUserRequest.SetVringNum, new VringState { Value = QueueSize });
        SetAddress(isLogged: false);
        Ask(VhostUserRequest.SetVringCall, 0UL, _call.Handle);
        Ask(VhostUserRequest.SetVringKick, 0UL, _kick.Handle);
        Ask(VhostUserRequest.SetVringEnable, new VringState { Value = 1 });
    }

    internal const ulong UserOffset = 0x7_0000_0000;

    internal int LogBytes { get; }

    /// <summary>Why the session ended; null when the front-end closed it.</summary>
    internal string? End { get; private set; }

    internal VhostUserConnection Frontend => _frontend;

    internal SafeFileHandle LogFile => _logFile;

    /// <summary>Starts to log, as QEMU does: the log, then the feature, then the rings.</summary>
    internal void StartLog()
    {
        SetLogBase((ulong)LogBytes, _logFile);
        Assert.True(_frontend.Receive(), End);
        Assert.Equal(VhostUserRequest.SetLogBase, _frontend.Header.Request);
        Ask(VhostUserRequest.SetFeatures, _features | ProtocolFeatures | LogAll);
        SetAddress(isLogged: true);
    }

    internal void SetLogBase(ulong bytes, params ReadOnlySpan<SafeHandle> file)
    {
        var log = new VhostUserLog { MmapSize = bytes };
        _frontend.Send(VhostUserRequest.SetLogBase, 0, MemoryMarshal.AsBytes(new ReadOnlySpan<VhostUserLog>(in log)), file);
    }

    internal void StopLog()
    {
        Ask(VhostUserRequest.SetFeatures, _features | ProtocolFeatures);
        SetAddress(isLogged: false);
    }

    /// <summary>Fills all data buffers with random bytes.</summary>
    internal void Scramble(Random random) => random.NextBytes(_ram.Span(TestMemory.Start + FirstData, RamBytes - FirstData));

    /// <summary>Makes a request available, with its data in up to three buffers anywhere.</summary>
    internal void Submit(ushort token, VirtioBlkRequestType type, int bytes, Random random)
    {
        var header = Headers + token * 64UL;
        Assert.True(_ram.Memory.TryWrite(header, new VirtioBlkRequestHeader { Type = type, Sector = 0 }));
        var buffers = new List<QueueBuffer> { new(header, VirtioBlkRequestHeader.Bytes) };
        // Each request has 48 KiB of its own; the status is its last byte.
        var at = TestMemory.Start + FirstData + token * 0xC000UL + (ulong)random.Next(PageBytes);
        for (var left = bytes; left > 0;)
        {
            var length = buffers.Count == 3 ? left : random.Next(1, left + 1);
            buffers.Add(new(at, (uint)length));
            at += (ulong)length + (ulong)random.Next(2 * PageBytes);
            left -= length;
        }
        var readable = type == VirtioBlkRequestType.Out ? buffers.Count : 1;
        buffers.Add(new(at, 1));
        Assert.True(_queue.TryAdd(buffers.ToArray(), readable, token));
        if (_queue.Publish()) _kick.Signal();
    }

    /// <summary>Waits for so many completions; the driver writes nothing.</summary>
    internal void Await(int completions)
    {
        for (var i = 0; i < completions; i++)
        {
            using var limit = new CancellationTokenSource(60_000);
            while (_queue.TryPopUsed(out _, out _) != PopResult.Popped)
            {
                Assert.False(limit.IsCancellationRequested, "no completion");
                Thread.Sleep(1);
            }
        }
    }

    /// <summary>Copies all memory, and clears the log: the start of a migration.</summary>
    internal void CopyAll()
    {
        _ = TakeLog();
        _ram.Span(TestMemory.Start, RamBytes).CopyTo(_copy);
    }

    /// <summary>Copies the pages that the log names.</summary>
    internal void CopyDirty()
    {
        foreach (var page in TakeLog())
        {
            var offset = (int)(page * PageBytes - TestMemory.Start);
            _ram.Span(page * PageBytes, PageBytes).CopyTo(_copy.AsSpan(offset));
        }
    }

    /// <summary>Stops the ring, as the source of a migration does at its end.</summary>
    internal uint Stop()
    {
        var state = new VringState();
        _frontend.Send(VhostUserRequest.GetVringBase, 0, MemoryMarshal.AsBytes(new ReadOnlySpan<VringState>(in state)));
        Assert.True(_frontend.Receive(), End);
        return _frontend.PayloadAs<VringState>().Value;
    }

    /// <summary>Starts the ring again, where it stopped.</summary>
    internal void Restart(uint position)
    {
        Ask(VhostUserRequest.SetVringBase, new VringState { Value = position });
        Ask(VhostUserRequest.SetVringCall, 0UL, _call.Handle);
        Ask(VhostUserRequest.SetVringKick, 0UL, _kick.Handle);
    }

    /// <summary>The pages whose copy differs from the memory.</summary>
    internal List<int> Differences() =>
        [.. Enumerable.Range(0, RamBytes / PageBytes).Where(page => !_ram.Span(TestMemory.Start + (ulong)page * PageBytes, PageBytes).SequenceEqual(_copy.AsSpan(page * PageBytes, PageBytes)))];

    /// <summary>Takes and clears the log.</summary>
    /// <returns>Page numbers.</returns>
    internal List<ulong> TakeLog()
    {
        var pages = new List<ulong>();
        var words = MemoryMarshal.Cast<byte, ulong>(_log.GetSpan(0, LogBytes));
        for (var i = 0; i < words.Length; i++)
        {
            for (var bits = Interlocked.Exchange(ref words[i], 0); bits != 0; bits &= bits - 1) pages.Add((ulong)i * 64 + (ulong)BitOperations.TrailingZeroCount(bits));
        }
        return pages;
    }

    public void Dispose()
    {
        _frontend.Dispose();
        Assert.True(_session.Join(60_000), "the session does not close");
        _log.Dispose();
        _logRegion.Dispose();
        _logFile.Dispose();
        _kick.Dispose();
        _call.Dispose();
        _ram.Dispose();
    }

    private void SetAddress(bool isLogged) => Ask(
        VhostUserRequest.SetVringAddr,
        new VringAddress
        {
            Descriptors = Descriptors + UserOffset,
            Available = Driver + UserOffset,
            Used = Device + UserOffset,
            Flags = isLogged ? VringAddress.LogUsed : 0,
            Log = Device,
        });

    private ulong Query(VhostUserRequest request)
    {
        _frontend.Send(request, 0, []);
        Assert.True(_frontend.Receive(), End);
        return _frontend.PayloadAs<ulong>();
    }

    private void Ask<T>(VhostUserRequest request, T payload, params ReadOnlySpan<SafeHandle> descriptors) where T : unmanaged =>
        Ask(request, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in payload)), descriptors);

    private void Ask(VhostUserRequest request, ReadOnlySpan<byte> payload, params ReadOnlySpan<SafeHandle> descriptors)
    {
        _frontend.Send(request, VhostUserHeader.NeedReply, payload, descriptors);
        Assert.True(_frontend.Receive(), $"{request}: {End}");
        Assert.Equal(0UL, _frontend.PayloadAs<ulong>());
    }
}
