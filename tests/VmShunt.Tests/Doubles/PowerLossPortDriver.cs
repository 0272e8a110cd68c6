using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Doubles;

/// <summary>
/// A disk in memory with a volatile write cache: until a flush, each sector is durable in the state of the last flush or of
/// any write since. Any thread.
/// </summary>
internal sealed class PowerLossPortDriver(int sectors) : PortDriver
{
    internal const int SectorBytes = 512;

    private readonly byte[] _content = new byte[sectors * SectorBytes];

    // Per sector, what it may hold after a power loss.
    private readonly List<byte[]>[] _states = [.. Enumerable.Range(0, sectors).Select(static _ => new List<byte[]> { new byte[SectorBytes] })];

    internal override string Description => "power loss";

    internal override long Bytes => _content.Length;

    internal override bool IsReadOnly => false;

    /// <summary>What the disk may hold if the power is lost now; the disk itself continues.</summary>
    internal byte[] Lose(Random random)
    {
        lock (_states) return [.. _states.SelectMany(states => states[random.Next(states.Count)])];
    }

    internal override void Read(IoVectors target, long offset)
    {
        lock (_states) target.CopyFrom(_content.AsSpan((int)offset, (int)target.TotalBytes));
    }

    internal override void Write(IoVectors source, long offset)
    {
        var data = new byte[source.TotalBytes];
        source.CopyTo(data);
        Keep(offset, data);
    }

    internal override void WriteZeroes(long offset, long bytes) => Keep(offset, new byte[bytes]);

    internal override bool TryUnmap(long offset, long bytes)
    {
        WriteZeroes(offset, bytes);
        return true;
    }

    internal override bool TryDiscard(long offset, long bytes) => false;

    internal override void Flush()
    {
        lock (_states)
        {
            foreach (var states in _states) states.RemoveRange(0, states.Count - 1);
        }
    }

    public override void Dispose()
    {
        // There is no resource to release.
    }

    private void Keep(long offset, byte[] data)
    {
        lock (_states)
        {
            data.CopyTo(_content, offset);
            for (var i = 0; i < data.Length; i += SectorBytes) _states[(offset + i) / SectorBytes].Add(data[i..(i + SectorBytes)]);
        }
    }
}
