using System.Collections.Concurrent;
using VmShunt.BlockDriver.Requests;
using VmShunt.HostPartition.Disk;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Guest.Kernel.Shunt.AtRegisters;

/// <summary>
/// The enlightened road without processes: requests end in VM-H's virtualization driver, on threads of their own, so side
/// by side and in any order. It can be held up, refuse everything, or be lost with requests on it.
/// </summary>
internal sealed class RecordingPath : IBlockDriver, IDisposable
{
    private const int Threads = 2;

    private readonly VirtualizationDriver _disk;
    private readonly GuestMemory _memory;
    private readonly BlockingCollection<BlockRequest> _requests = [];
    private readonly ManualResetEventSlim _open = new(initialState: true);
    private readonly Thread[] _threads;
    private int _lost, _waiting, _taken;

    internal RecordingPath(VirtualizationDriver disk, GuestMemory memory)
    {
        _disk = disk;
        _memory = memory;
        _threads = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(Run) { IsBackground = true })];
        foreach (var thread in _threads) thread.Start();
    }

    public DiskGeometry Geometry => new(_disk.SectorCount, MaxTransferBytes, "", _disk.IsReadOnly);

    internal int MaxTransferBytes { get; init; } = 4 << 20;

    /// <summary>Requests that were submitted and not ended.</summary>
    internal int Waiting => _waiting;

    /// <summary>Requests taken so far.</summary>
    internal int Taken => _taken;

    internal void Hold() => _open.Reset();

    internal void LetGo() => _open.Set();

    /// <summary>From now on, and for what is on it, every request is rejected.</summary>
    internal void Lose() => _lost = 1;

    internal void Return() => _lost = 0;

    public void Submit(BlockRequest request)
    {
        Interlocked.Increment(ref _taken);
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
            var status = _lost != 0 ? DiskStatus.IoError : Execute(request, pieces);
            Interlocked.Decrement(ref _waiting);
            if (_lost != 0) request.Reject();
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
                return _disk.Flush();
            default:
                return DiskStatus.Unsupported;
        }
    }
}
