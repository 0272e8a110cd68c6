using VmShunt.Ring.Interop;

namespace VmShunt.Tests.Ring.Interop;

public class CrashOutputTests
{
    [Fact]
    public void Writing_allocates_nothing_after_preparation()
    {
        CrashOutput.Prepare();
        var before = GC.GetAllocatedBytesForCurrentThread();
        CrashOutput.WriteOutput([]);
        CrashOutput.WriteError([]);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
