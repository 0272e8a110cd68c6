using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Ring.Memory;

/// <summary>
/// The log of the pages that a device writes while its guest migrates (vhost-user, "Migration"): one bit for each 4096 bytes
/// of guest-physical memory. The front-end clears bits at the same time. A page is marked after it was written: a copy that
/// the front-end makes when it sees the bit has the data. Any thread.
/// </summary>
internal sealed class DirtyLog : IDisposable
{
    private const int PageBits = 12, WordBits = 6;

    private readonly MemoryRegion _region;
    private readonly GuestMemory _memory;
    private readonly MemoryWindow _words;

    private DirtyLog(MemoryRegion region)
    {
        _region = region;
        _memory = new GuestMemory(region);
        _memory.TryGetWindow(0, (int)region.Size, out _words);
    }

    /// <summary>Maps the log.</summary>
    /// <param name="file">The file; the caller owns it and may close it afterwards.</param>
    /// <param name="offset">Its offset in the file.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="session">As for <see cref="MemoryRegion.Map"/>.</param>
    /// <exception cref="InvalidDataException">It is empty, no multiple of eight bytes, larger than 2 GiB, or cannot be mapped.</exception>
    internal static DirtyLog Map(SafeFileHandle file, ulong offset, ulong bytes, SafeHandle? session = null)
    {
        if (bytes % sizeof(ulong) != 0 || offset % sizeof(ulong) != 0 || bytes > int.MaxValue)
            throw new InvalidDataException($"a dirty log of {bytes:n0} bytes at file offset {offset:n0}; both are multiples of 8, and a log has at most 2 GiB");
        return new DirtyLog(MemoryRegion.Map(file, offset, bytes, guestAddress: 0, session: session));
    }

    /// <summary>Whether the log has a bit for each byte of a range.</summary>
    internal bool Covers(ulong address, ulong bytes) => bytes == 0 || (address <= ulong.MaxValue - bytes && (address + bytes - 1) >> PageBits < (ulong)_words.Length * 8);

    /// <summary>Marks the pages of a range that was written. What the log does not cover is not marked.</summary>
    internal void Mark(ulong address, ulong bytes)
    {
        if (!Covers(address, bytes) || bytes == 0) return;
        var (first, last) = (address >> PageBits, (address + bytes - 1) >> PageBits);
        for (var word = first >> WordBits; word <= last >> WordBits; word++)
        {
            var bits = ulong.MaxValue;
            if (word == first >> WordBits) bits &= ulong.MaxValue << (int)(first % 64);
            if (word == last >> WordBits) bits &= ulong.MaxValue >> (int)(63 - last % 64);
            _words.SetBits((int)word * sizeof(ulong), bits);
        }
    }

    public void Dispose()
    {
        _memory.Dispose();
        _region.Dispose();
    }
}
