using VmShunt.Ring.Interop;

namespace VmShunt.Tests.Ring.Interop;

public class LastWordsTests
{
    [Fact]
    public void Writing_allocates_nothing_after_preparation()
    {
        LastWords.Prepare();
        var before = GC.GetAllocatedBytesForCurrentThread();
        LastWords.Say([]);
        LastWords.Complain([]);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
