using System.Diagnostics;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>Waits for a condition that another thread or process makes true.</summary>
internal static class Eventually
{
    internal static void True(Func<bool> condition, string what)
    {
        var start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start).TotalSeconds < 60, $"within a minute: {what}");
            Thread.Sleep(1);
        }
    }
}
