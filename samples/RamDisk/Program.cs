// RamDisk IMAGE SOCKET [AHCI-SOCKET]: serves a copy of an image in memory, from which a virtual machine boots.
using VmShunt.AhciBackend;
using VmShunt.BlockBackend;

await using var server = new BlockServer(new RamDisk(File.ReadAllBytes(args[0])));
server.ListenVhostUser(args[1]);
if (args.Length > 2) server.ListenVfioUser(args[2]);
Console.WriteLine("ready");
await server.RunUntilSignalAsync();

internal sealed class RamDisk(byte[] data) : BlockDevice
{
    public override long Length => data.Length;
    public override void Read(Span<byte> destination, long offset) => data.AsSpan((int)offset, destination.Length).CopyTo(destination);
    public override void Write(ReadOnlySpan<byte> source, long offset) => source.CopyTo(data.AsSpan((int)offset));
    public override void Flush() { }
}
