using VmShunt.BlockBackend.Disk;

namespace VmShunt.Tests.HostPartition.Block.Disk;

public class DurableFlushTests
{
    [Fact]
    public void After_a_failed_flush_every_flush_fails()
    {
        var flushes = 0;
        var flush = new DurableFlush(() =>
        {
            if (++flushes == 3) throw new IOException("bad medium", 5);
        });
        flush.Run();
        flush.Run();
        Assert.Equal("bad medium", Assert.Throws<IOException>(flush.Run).Message);
        for (var i = 0; i < 3; i++)
        {
            var failure = Assert.Throws<IOException>(flush.Run);
            Assert.Equal(("an earlier flush failed, so writes may be lost: bad medium", 5), (failure.Message, failure.HResult));
        }
        Assert.Equal(3, flushes);
    }
}
