// Serves a disk to virtual machines: dotnet run -c Release -- disk.sock
// QEMU: -object memory-backend-memfd,id=ram,size=1G,share=on -numa node,memdev=ram
//       -chardev socket,id=disk,path=disk.sock -device vhost-user-blk-pci,chardev=disk
using VmShunt.BlockBackend;

await using var server = new BlockServer(new MyDisk(64 << 20));
server.ListenVhostUser(args.Length > 0 ? args[0] : "disk.sock");
Console.WriteLine("ready");
await server.RunUntilSignalAsync();

internal sealed class MyDisk(int bytes) : BlockDevice
{
    private readonly byte[] _data = new byte[bytes];

    public override long Length => bytes;

    public override void Read(Span<byte> destination, long offset) => _data.AsSpan((int)offset, destination.Length).CopyTo(destination);

    public override void Write(ReadOnlySpan<byte> source, long offset) => source.CopyTo(_data.AsSpan((int)offset));

    public override void Flush()
    {
    }
}
