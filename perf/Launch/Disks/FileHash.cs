using System.Security.Cryptography;

namespace VmShunt.Perf.Disks;

/// <summary>The SHA-256 of a whole file or device in lower-case hex, like <c>sha256sum</c>.</summary>
internal static class FileHash
{
    internal static async Task<string> OfAsync(string path, CancellationToken cancel)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, 1 << 20);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancel));
    }
}
