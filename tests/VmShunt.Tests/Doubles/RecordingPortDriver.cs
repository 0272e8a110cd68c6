using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Doubles;

/// <summary>A disk in memory that records its requests, and fails or is full on demand. Any thread.</summary>
internal sealed class RecordingPortDriver(long bytes = 1 << 20) : PortDriver
{
    private const int ENOSPC = 28;

    private readonly byte[] _content = new byte[bytes];
    private readonly List<string> _requests = [];
    private int _attempts;

    /// <summary>How many sectors can be written before the disk is full.</summary>
    internal int Room
    {
        get
        {
            lock (_content) return _room;
        }
        set
        {
            lock (_content) _room = value;
        }
    }

    private int _room = int.MaxValue;

    /// <summary>The value of <see cref="NeverBlocks"/>.</summary>
    internal bool IsNonBlocking { get; init; }

    internal override bool NeverBlocks => IsNonBlocking;

    /// <summary>Makes every operation but discards fail.</summary>
    internal bool IsBroken
    {
        get => Ordered.Load(ref _isBroken);
        set => Ordered.Store(ref _isBroken, value);
    }

    private bool _isBroken;

    /// <summary>The device's size at the next <see cref="Refresh"/>.</summary>
    internal long NewBytes { get; set; } = bytes;

    /// <summary>The number of writes, also those that failed.</summary>
    internal int Attempts => Ordered.Load(ref _attempts);

    /// <summary>The requests that succeeded, in order.</summary>
    internal string[] Requests
    {
        get
        {
            lock (_requests) return [.. _requests];
        }
    }

    internal override string Description => "recording";

    internal override long Bytes => Ordered.Load(ref _bytes);

    private long _bytes = bytes;

    internal override bool IsReadOnly => false;

    internal override bool IsMemoryResident => IsInMemory;

    /// <summary>The value of <see cref="IsMemoryResident"/>.</summary>
    internal bool IsInMemory { get; init; }

    internal override DiskTopology Topology { get; } = new(4096, 512, 8192, 65536);

    internal override void Refresh() => Ordered.Store(ref _bytes, NewBytes);

    internal void ClearRequests()
    {
        lock (_requests) _requests.Clear();
    }

    internal override void Read(IoVectors target, long offset)
    {
        Record("read", offset, target.TotalBytes);
        for (var done = 0L; target.TotalBytes > 0; done += 512)
        {
            lock (_content) target.CopyFrom(_content.AsSpan((int)(offset + done), 512));
            target.Skip(512);
        }
    }

    internal override void Write(IoVectors source, long offset)
    {
        Interlocked.Increment(ref _attempts);
        var bytes = source.TotalBytes;
        var fits = TakeRoom(bytes);
        if (!IsBroken && fits > 0)
        {
            for (var i = 0; i < fits / 512; i++)
            {
                lock (_content) source.CopyTo(_content.AsSpan((int)offset + i * 512, 512));
                source.Skip(512);
            }
            Record("write", offset, fits);
        }
        if (IsBroken) throw new IOException("bad medium");
        if (fits < bytes) throw new IOException("no room", ENOSPC);
    }

    internal override void Flush()
    {
        lock (_requests) _requests.Add("flush");
        if (IsBroken) throw new IOException("bad medium");
    }

    internal override bool TryDiscard(long offset, long bytes)
    {
        Record("discard", offset, bytes);
        return true;
    }

    internal override bool TryUnmap(long offset, long bytes)
    {
        Record("unmap", offset, bytes);
        lock (_content) _content.AsSpan((int)offset, (int)bytes).Clear();
        return true;
    }

    internal override void WriteZeroes(long offset, long bytes)
    {
        Interlocked.Increment(ref _attempts);
        if (Room == 0) throw new IOException("no room", ENOSPC);
        Record("zeroes", offset, bytes);
        lock (_content) _content.AsSpan((int)offset, (int)bytes).Clear();
    }

    public override void Dispose()
    {
        // There is no resource to release.
    }

    private long TakeRoom(long bytes)
    {
        lock (_content)
        {
            var sectors = (int)Math.Min(bytes / 512, _room);
            if (_room != int.MaxValue) _room -= sectors;
            return sectors * 512L;
        }
    }

    private void Record(string request, long offset, long bytes)
    {
        lock (_requests) _requests.Add($"{request} {offset / 512}+{bytes / 512}");
        if (IsBroken) throw new IOException("bad medium");
    }
}
