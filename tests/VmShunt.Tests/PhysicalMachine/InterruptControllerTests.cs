using VmShunt.PhysicalMachine;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.PhysicalMachine;

public sealed class InterruptControllerTests
{
    private readonly InterruptController _interrupts = new();

    [Fact]
    public void A_wait_returns_the_vector_of_the_lowest_asserted_line()
    {
        _interrupts.SetLine(5, true);
        _interrupts.SetLine(2, true);
        Assert.Equal(GuestLayout.FirstVector + 2, _interrupts.Wait());
        _interrupts.SetLine(2, false);
        Assert.Equal(GuestLayout.FirstVector + 5, _interrupts.Wait());
    }

    [Fact]
    public void An_asserted_line_ends_every_wait_until_it_is_lowered()
    {
        _interrupts.SetLine(0, true);
        for (var i = 0; i < 3; i++) Assert.Equal(GuestLayout.FirstVector, _interrupts.Wait());
    }

    [Fact]
    public void A_line_lowered_before_the_wait_does_not_end_it()
    {
        _interrupts.SetLine(0, true);
        _interrupts.SetLine(0, false);
        var vector = WaitOnThread(out var thread);
        _interrupts.SetLine(1, true);
        thread.Join();
        Assert.Equal(GuestLayout.FirstVector + 1, vector());
    }

    [Fact]
    public void One_line_wakes_every_halted_processor()
    {
        var vectors = Enumerable.Range(0, 4).Select(_ => (Vector: WaitOnThread(out var thread), Thread: thread)).ToArray();
        _interrupts.SetLine(7, true);
        foreach (var (_, thread) in vectors) thread.Join();
        Assert.All(vectors, static waiter => Assert.Equal(GuestLayout.FirstVector + 7, waiter.Vector()));
    }

    private Func<int> WaitOnThread(out Thread thread)
    {
        var vector = 0;
        thread = new Thread(() => vector = _interrupts.Wait());
        thread.Start();
        return () => vector;
    }
}
