using VmShunt.HostPartition.Disk;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Doubles;

/// <summary>A disk in memory that remembers what was asked of it, and fails or is full on demand. Any thread.</summary>
internal sealed class RecordingPortDriver(long bytes = 1 << 20) : PortDriver
{
    private const int ENOSPC = 28;

    private readonly byte[] _content = new byte[bytes];
    private readonly List<string> _asked = [];
    private volatile int _attempts;

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

    /// <summary>Whether it says of itself that its requests never wait.</summary>
    internal bool IsPollable { get; init; }

    internal override bool NeverWaits => IsPollable;

    /// <summary>Makes every operation but discards fail.</summary>
    internal volatile bool IsBroken;

    /// <summary>The device's size, for a <see cref="Refresh"/>.</summary>
    internal long NewBytes { get; set; } = bytes;

    /// <summary>Writes that were tried, also in vain.</summary>
    internal int Attempts => _attempts;

    /// <summary>What was done, in order.</summary>
    internal string[] Asked
    {
        get
        {
            lock (_asked) return [.. _asked];
        }
    }

    internal override string Description => "recording";

    internal override long Bytes => _bytes;

    private long _bytes = bytes;

    internal override bool IsReadOnly => false;

    internal override bool IsQuick => Quick;

    /// <summary>Whether it says that its requests take hardly longer than their way.</summary>
    internal bool Quick { get; init; }

    internal override DiskTopology Topology { get; } = new(4096, 512, 8192, 65536);

    internal override void Refresh() => _bytes = NewBytes;

    internal void Forget()
    {
        lock (_asked) _asked.Clear();
    }

    internal override void Read(IoVectors target, long offset)
    {
        Note("read", offset, target.TotalBytes);
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
            Note("write", offset, fits);
        }
        if (IsBroken) throw new IOException("bad medium");
        if (fits < bytes) throw new IOException("no room", ENOSPC);
    }

    internal override void Flush()
    {
        lock (_asked) _asked.Add("flush");
        if (IsBroken) throw new IOException("bad medium");
    }

    internal override bool TryDiscard(long offset, long bytes)
    {
        Note("discard", offset, bytes);
        return true;
    }

    internal override bool TryUnmap(long offset, long bytes)
    {
        Note("unmap", offset, bytes);
        lock (_content) _content.AsSpan((int)offset, (int)bytes).Clear();
        return true;
    }

    internal override void WriteZeroes(long offset, long bytes)
    {
        Interlocked.Increment(ref _attempts);
        if (Room == 0) throw new IOException("no room", ENOSPC);
        Note("zeroes", offset, bytes);
        lock (_content) _content.AsSpan((int)offset, (int)bytes).Clear();
    }

    public override void Dispose()
    {
        // The content belongs to the collector.
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

    private void Note(string what, long offset, long bytes)
    {
        lock (_asked) _asked.Add($"{what} {offset / 512}+{bytes / 512}");
        if (IsBroken) throw new IOException("bad medium");
    }
}
