using System.Collections.Concurrent;
using VmShunt.BlockBackend.Disk;
using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Guest.Kernel.Shunt.AtRegisters;

/// <summary>
/// The ring path without processes: VM-H's virtualization driver executes requests on two threads, so in parallel and in any
/// order. The test can hold requests, reject all, or lose the path with requests in flight.
/// </summary>
internal sealed class RecordingPath : IBlockDriver, IDisposable
{
    private const int Threads = 2;

    private readonly VirtualizationDriver _disk;
    private readonly WriteCacheSwitch _flushes;
    private readonly GuestMemory _memory;
    private readonly BlockingCollection<BlockRequest> _requests = [];
    private readonly ManualResetEventSlim _open = new(initialState: true);
    private readonly Thread[] _threads;
    private int _lost, _waiting, _submitted;

    internal RecordingPath(VirtualizationDriver disk, GuestMemory memory)
    {
        _disk = disk;
        _flushes = disk.OpenWriteCache();
        _memory = memory;
        _threads = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(Run) { IsBackground = true })];
        foreach (var thread in _threads) thread.Start();
    }

    public DiskGeometry Geometry => new(_disk.SectorCount, MaxTransferBytes, "", _disk.IsReadOnly);

    internal int MaxTransferBytes { get; init; } = 4 << 20;

    /// <summary>Requests in flight.</summary>
    internal int Waiting => Ordered.Load(ref _waiting);

    /// <summary>Requests submitted so far.</summary>
    internal int Submitted => Ordered.Load(ref _submitted);

    internal void Hold() => _open.Reset();

    internal void Resume() => _open.Set();

    /// <summary>Rejects every request from now on, those in flight too.</summary>
    internal void Lose() => Ordered.Store(ref _lost, 1);

    internal void Return() => Ordered.Store(ref _lost, 0);

    public void Submit(BlockRequest request)
    {
        Interlocked.Increment(ref _submitted);
        Interlocked.Increment(ref _waiting);
        _requests.Add(request);
    }

    public void Dispose()
    {
        _open.Set();
        _requests.CompleteAdding();
        foreach (var thread in _threads) thread.Join();
        _requests.Dispose();
        _open.Dispose();
    }

    private void Run()
    {
        var pieces = new IoVectors();
        foreach (var request in _requests.GetConsumingEnumerable())
        {
            _open.Wait();
            var isLost = Ordered.Load(ref _lost) != 0;
            var status = isLost ? DiskStatus.IoError : Execute(request, pieces);
            Interlocked.Decrement(ref _waiting);
            if (isLost) request.Reject();
            else request.Complete(status == DiskStatus.Ok ? BlockStatus.Ok : BlockStatus.IoError);
        }
    }

    private DiskStatus Execute(BlockRequest request, IoVectors pieces)
    {
        pieces.Clear();
        var sectors = (ulong)request.Bytes / 512;
        switch (request.Operation)
        {
            case BlockOperation.Read:
                return _memory.TryAppend(request.Address, (ulong)request.Bytes, deviceWrites: true, pieces) ? _disk.Read(request.Sector, pieces) : DiskStatus.IoError;
            case BlockOperation.Write:
                return _memory.TryAppend(request.Address, (ulong)request.Bytes, deviceWrites: false, pieces)
                    ? _disk.Write(request.Sector, pieces, new SharedFlag())
                    : DiskStatus.IoError;
            case BlockOperation.Discard:
                return _disk.Discard(request.Sector, sectors);
            case BlockOperation.Flush:
                return _flushes.Flush();
            default:
                return DiskStatus.Unsupported;
        }
    }
}
