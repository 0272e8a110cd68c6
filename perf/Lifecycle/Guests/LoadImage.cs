namespace VmShunt.Perf.Lifecycle.Guests;

/// <summary>
/// What the guest's load (<c>/sbin/load</c> of the initramfs) leaves in an image. Round i writes <see cref="RoundBytes"/> of the
/// seed, from block i mod 15 on, at place i mod 16: each visit to a place brings other data, so a write that was lost or
/// repeated late shows.
/// </summary>
internal static class LoadImage
{
    internal const int BlockBytes = 64 << 10, RoundBlocks = 16, Places = 16, Shifts = 15, RoundBytes = RoundBlocks * BlockBytes;

    // A torn round is old and new data in units that a guest's page cache writes.
    private const int PieceBytes = 4096;

    /// <summary>The data that is written: the same in each guest.</summary>
    internal static byte[] Seed { get; } = MakeSeed();

    /// <summary>Finds the round that was not completed, if the image is what the rounds before it left.</summary>
    /// <param name="image">The image's file.</param>
    /// <param name="least">Rounds that the guest saw complete.</param>
    /// <param name="most">Rounds that may have completed.</param>
    /// <returns>Null: the image is not what any number of rounds left.</returns>
    internal static int? FindRound(string image, int least, int most)
    {
        var content = new byte[Places * RoundBytes];
        using (var file = new FileStream(image, FileMode.Open, FileAccess.Read, FileShare.ReadWrite)) file.ReadExactly(content);
        for (var next = least; next <= most; next++)
        {
            if (Enumerable.Range(0, Places).All(place => IsPlaceAfter(content, place, next))) return next;
        }
        return null;
    }

    private static bool IsPlaceAfter(byte[] content, int place, int next)
    {
        // The last completed round at this place, and the one that may be written in part.
        var last = next - 1 - ((next - 1 - place) % Places + Places) % Places;
        ReadOnlySpan<byte> found = content.AsSpan(place * RoundBytes, RoundBytes), old = DataOf(last);
        if (next % Places != place) return found.SequenceEqual(old);
        var now = DataOf(next);
        for (var at = 0; at < RoundBytes; at += PieceBytes)
        {
            var piece = found.Slice(at, PieceBytes);
            if (!piece.SequenceEqual(old.Slice(at, PieceBytes)) && !piece.SequenceEqual(now.Slice(at, PieceBytes))) return false;
        }
        return true;
    }

    private static ReadOnlySpan<byte> DataOf(int round) => round < 0 ? new byte[RoundBytes] : Seed.AsSpan(round % Shifts * BlockBytes, RoundBytes);

    private static byte[] MakeSeed()
    {
        var seed = new byte[(Shifts - 1 + RoundBlocks) * BlockBytes];
        new Random(17).NextBytes(seed);
        return seed;
    }
}
