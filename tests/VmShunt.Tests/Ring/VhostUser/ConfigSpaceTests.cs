using System.Runtime.InteropServices;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Tests.Ring.VhostUser;

/// <summary>GET_CONFIG and SET_CONFIG.</summary>
public sealed class ConfigSpaceTests : SessionTests
{
    [Theory]
    [InlineData(0u, 0u, true)]
    [InlineData(0u, 60u, true)]
    [InlineData(59u, 1u, true)]
    [InlineData(60u, 0u, true)]
    [InlineData(60u, 1u, false)]
    [InlineData(0u, 61u, false)]
    [InlineData(0u, 256u, false)]
    [InlineData(0u, 257u, false)]
    [InlineData(256u, 1u, false)]
    [InlineData(1u, uint.MaxValue, false)]
    [InlineData(uint.MaxValue, 1u, false)]
    [InlineData(0x8000_0000u, 0x8000_0000u, false)]
    public void Configuration_is_read_only_inside_its_space(uint offset, uint size, bool inside)
    {
        var header = new VhostUserConfigHeader { Offset = offset, Size = size };
        var reply = Frontend.Query(VhostUserRequest.GetConfig, MemoryMarshal.AsBytes(new ReadOnlySpan<VhostUserConfigHeader>(in header)));
        Assert.Equal(inside ? 12 + (int)size : 0, reply.Length);
        if (inside) Assert.Equal(Backend.Device.Config.AsSpan((int)offset, (int)size), reply.AsSpan(12));
        Frontend.AssertAlive();
    }

    [Theory]
    [InlineData(32u, 1u, 1, true)]
    [InlineData(33u, 1u, 1, false)]
    [InlineData(32u, 2u, 2, false)]
    [InlineData(32u, 1u, 2, false)]
    [InlineData(32u, 2u, 1, false)]
    [InlineData(32u, 0u, 0, false)]
    [InlineData(257u, 1u, 1, false)]
    [InlineData(uint.MaxValue, 1u, 1, false)]
    [InlineData(0x8000_0020u, 1u, 1, false)]
    [InlineData(32u, uint.MaxValue, 1, false)]
    public void Only_writable_fields_of_the_configuration_are_written(uint offset, uint size, int bytes, bool written)
    {
        var before = Backend.Device.Config.ToArray();
        var payload = new byte[12 + bytes];
        MemoryMarshal.Write(payload, new VhostUserConfigHeader { Offset = offset, Size = size });
        Assert.Equal(written, Frontend.Ask(VhostUserRequest.SetConfig, payload));
        if (written) before[32] = 0;
        Assert.Equal(before, Backend.Device.Config);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(uint.MaxValue)]
    public void A_read_only_field_is_not_written_whatever_the_flags_say(uint flags)
    {
        var before = Backend.Device.Config.ToArray();
        var payload = new byte[12 + 8];
        MemoryMarshal.Write(payload, new VhostUserConfigHeader { Size = 8, Flags = flags });
        Assert.False(Frontend.Ask(VhostUserRequest.SetConfig, payload));
        Assert.Equal(before, Backend.Device.Config);
    }
}
