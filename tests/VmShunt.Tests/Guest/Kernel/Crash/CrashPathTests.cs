using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Crash;

namespace VmShunt.Tests.Guest.Kernel.Crash;

/// <summary>The crash path of a running kernel, on a machine without a hypervisor.</summary>
public class CrashPathTests
{
    [Fact]
    public void A_dump_has_the_memory_of_the_crash_and_is_written_without_an_allocation()
    {
        using var disk = new DumpDisk();
        var core = Path.GetTempFileName();
        try
        {
            using (var guest = disk.Boot())
            {
                var buffer = guest.Kernel.Pages.Allocate(4096);
                buffer.Span.Fill(0xC7);
                var outcome = guest.Kernel.CrashPath!.Run(new CrashGate(), "a test", 7, inFlight: 5);
                Assert.Null(outcome.Failure);
                Assert.Equal((5, 0), (outcome.InFlight, outcome.AllocatedBytes));
                Assert.InRange(outcome.DumpBytes, RunningKernel.MemoryBytes, 2 * RunningKernel.MemoryBytes);
                Assert.Equal(0xC7, buffer.Span[0]);
            }
            using var next = disk.Boot();
            var header = new DumpReader(next.Kernel.EmulatingDisk!, disk.Partition, next.Kernel.Pages).Find();
            Assert.Equal((DumpState.New, 5, "a test"), (header!.Value.State, header.Value.InFlight, header.Value.Reason));
            Assert.True((bool)next.Run($"dump export {core}")["valid"]!);
            Assert.True(File.ReadAllBytes(core).AsSpan().IndexOf(Enumerable.Repeat((byte)0xC7, 4096).ToArray()) > 0);
        }
        finally
        {
            File.Delete(core);
        }
    }

    [Fact]
    public void A_dump_that_does_not_fit_its_partition_fails_and_leaves_no_header()
    {
        using var disk = new DumpDisk(dumpSectors: RunningKernel.MemoryBytes / 512);
        using (var guest = disk.Boot())
        {
            var outcome = guest.Kernel.CrashPath!.Run(new CrashGate(), "a test", 7, inFlight: 0);
            Assert.Contains("does not fit the dump partition", outcome.Failure, StringComparison.Ordinal);
            Assert.Equal(0, outcome.DumpBytes);
        }
        using var next = disk.Boot();
        Assert.False((bool)next.Run("dump info")["found"]!);
    }

    [Fact]
    public void A_failure_during_the_crash_is_its_outcome_and_is_not_thrown()
    {
        using var disk = new DumpDisk();
        using var guest = disk.Boot();
        var outcome = guest.Kernel.CrashPath!.Run(new CrashGate(), "a test", 7, 0, static () => throw new InvalidOperationException("damaged"));
        Assert.Equal("damaged", outcome.Failure);
    }

    [Fact]
    public void Once_the_emulating_stack_is_removed_the_outcome_says_so()
    {
        using var disk = new DumpDisk();
        using var guest = disk.Boot();
        Assert.Null(guest.Kernel.CrashPath!.Obstacle);
        guest.Kernel.CrashPath.GiveUp();
        var outcome = guest.Kernel.CrashPath.Run(new CrashGate(), "a test", 7, 3);
        Assert.StartsWith("the emulating stack was removed", outcome.Failure, StringComparison.Ordinal);
        Assert.Equal(3, outcome.InFlight);
    }
}
