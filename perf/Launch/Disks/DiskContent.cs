using System.Text;

namespace VmShunt.Perf.Disks;

/// <summary>
/// Content for a data partition: text and random bytes in turn, no zero pages. The same seed gives the same content.
/// </summary>
internal sealed class DiskContent(int seed)
{
    private static readonly string[] s_words =
        ["disk", "driver", "shunt", "ring", "trap", "request", "memory", "queue", "sector", "guest", "host", "the", "a", "of", "and", "to"];

    private readonly Random _random = new(seed);

    /// <summary>Fills the next piece of the content.</summary>
    internal void Fill(Span<byte> piece)
    {
        while (!piece.IsEmpty)
        {
            var n = Math.Min(piece.Length, _random.Next(1 << 10, 1 << 16));
            if (_random.Next(2) == 0) _random.NextBytes(piece[..n]);
            else FillText(piece[..n]);
            piece = piece[n..];
        }
    }

    private void FillText(Span<byte> piece)
    {
        Span<byte> word = stackalloc byte[16];
        while (!piece.IsEmpty)
        {
            var n = Encoding.ASCII.GetBytes(s_words[_random.Next(s_words.Length)], word);
            word[n++] = (byte)(_random.Next(12) == 0 ? '\n' : ' ');
            n = Math.Min(n, piece.Length);
            word[..n].CopyTo(piece);
            piece = piece[n..];
        }
    }
}
