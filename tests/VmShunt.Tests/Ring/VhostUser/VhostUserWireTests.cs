using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Tests.Doubles;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>Messages as bytes on the socket (QEMU's <c>docs/interop/vhost-user.rst</c>).</summary>
public sealed class VhostUserWireTests
{
    [Fact]
    public void The_front_end_sends_the_bytes_of_the_specification()
    {
        using var ram = new TestMemory(0x1_0000);
        using EventFd kick = EventFd.Create(), call = EventFd.Create();
        var said = new List<string>();
        using (var backend = new ScriptedBackend((connection, header) =>
        {
            var bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<VhostUserHeader>(in header));
            said.Add($"{Convert.ToHexString(bytes)} {Convert.ToHexString(connection.Payload)} {connection.DescriptorCount}");
            return false;
        }))
        {
            using var frontend = backend.Open();
            frontend.ShareMemory([(TestMemory.Start, 0x1_0000, 0)], ram.File);
            Assert.True(frontend.TryReadConfig(new byte[1]));
            frontend.StartRing(1, 256, 0x0102, TestMemory.Start + 0x10, TestMemory.Start + 0x20, TestMemory.Start + 0x30, kick, call);
            frontend.StopRing(1);
        }
        Assert.Equal(
        [
            "030000000100000000000000  0",
            "010000000100000000000000  0",
            "0F0000000100000000000000  0",
            "100000000100000008000000 2982000000000000 0",
            // From here on every message has NEED_REPLY.
            "020000000900000008000000 0000004001000000 0",
            "110000000100000000000000  0",
            "250000000900000028000000 0000000000000000" + "0000004000000000" + "0000010000000000" + "0000004000000000" + "0000000000000000 1",
            "18000000010000000D000000 00000000010000000000000000 0",
            "080000000900000008000000 0100000000010000 0",
            "0A0000000900000008000000 0100000002010000 0",
            "090000000900000028000000 0100000000000000" + "1000004000000000" + "3000004000000000" + "2000004000000000" + "0000000000000000 0",
            "0D0000000900000008000000 0100000000000000 1",
            "0C0000000900000008000000 0100000000000000 1",
            "120000000900000008000000 0100000001000000 0",
            "0B0000000100000008000000 0100000000000000 0",
        ], said);
    }
}
