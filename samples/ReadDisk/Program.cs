// Prints the SHA-256 of a disk: ReadDisk SOCKET, where a vhost-user-blk back-end listens on the socket.
using System.Security.Cryptography;
using VmShunt.BlockDriver;

await using var disk = await BlockDisk.ConnectAsync(args[0]);
using var buffer = disk.Rent(1 << 20);
using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
for (var offset = 0L; offset < disk.Length; offset += buffer.Length)
{
    var piece = buffer.Memory[..(int)Math.Min(buffer.Length, disk.Length - offset)];
    await disk.ReadAsync(piece, offset);
    hash.AppendData(piece.Span);
}
Console.WriteLine(Convert.ToHexStringLower(hash.GetHashAndReset()));
