using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Ring.Memory;

public class MappingTests
{
    private const int Anonymous = Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, ReadWrite = Libc.PROT_READ | Libc.PROT_WRITE;

    [Fact]
    public void A_new_anonymous_mapping_reads_as_zeros_and_can_be_written()
    {
        using var mapping = Mapping.TryCreate(8192, ReadWrite, Anonymous);
        Assert.NotNull(mapping);
        var window = mapping.Window;
        Assert.Equal((8192, 0ul), (window.Length, window.Read<ulong>(8184)));
        window.Write(8184, 7ul);
        Assert.Equal(7ul, mapping.Window.Read<ulong>(8184));
        mapping.Dispose();
    }

    [Fact]
    public void A_mapping_that_the_system_refuses_is_null()
    {
        Assert.Null(Mapping.TryCreate(4096, ReadWrite, Libc.MAP_SHARED, file: -1));
        Assert.Null(Mapping.TryCreate(0, ReadWrite, Anonymous));
    }

    [Fact]
    public void A_window_covers_at_most_2_GiB()
    {
        using var mapping = Mapping.TryCreate((nuint)1 << 31, ReadWrite, Anonymous | Libc.MAP_NORESERVE);
        Assert.NotNull(mapping);
        Assert.Throws<OverflowException>(() => mapping.Window.Length);
    }
}
