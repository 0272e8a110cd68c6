using System.Runtime.CompilerServices;
using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Mode;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Commands.Crash;

/// <summary>Damage that a machine may have when it crashes, done on purpose.</summary>
internal static class CrashDamage
{
    /// <summary>Allocates every free page of guest memory.</summary>
    internal static void ExhaustPages(GuestPages pages)
    {
        for (var bytes = 1 << 28; bytes >= 4096;)
        {
            try
            {
                while (true) pages.Allocate(bytes);
            }
            catch (InvalidOperationException)
            {
                bytes /= 2;
            }
        }
    }

    /// <summary>Allocates the whole managed heap, up to DOTNET_GCHeapHardLimit.</summary>
    /// <param name="held">Keeps the allocations alive; the caller keeps the array.</param>
    internal static void ExhaustHeap(object?[] held)
    {
        // Small objects alone: where large ones have used up the address range that the runtime reserves, it may end the process.
        var count = 0;
        for (var bytes = 64 << 10; bytes >= 16; bytes /= 2) AllocateAll(bytes, held, ref count);
    }

    /// <summary>Changes the mode at random on a new thread, without end. Returns after a few changes, at a random point of one.</summary>
    internal static void ChangeModesForEver(Kernel kernel)
    {
        var changes = 0;
        var thread = new Thread(() =>
        {
            var random = new Random();
            while (true)
            {
                try
                {
                    kernel.ChangeMode((GuestMode)random.Next(3));
                    Interlocked.Increment(ref changes);
                }
                catch (Exception e) when (e is IOException || kernel.Crash.IsCrashed)
                {
                    // The crash interrupted the change, or guest memory is full.
                    kernel.Crash.ParkIfCrashed();
                }
            }
        })
        { IsBackground = true, Name = "mode changes" };
        thread.Start();
        SpinWait.SpinUntil(() => Ordered.Load(ref changes) >= 3);
        Thread.Sleep(Random.Shared.Next(8));
    }

    /// <summary>
    /// Starts threads that fault once the machine has crashed. Half of them crash the kernel again; the others ignore the
    /// crash and keep resetting the controller that the dump is written through.
    /// </summary>
    internal static void CrashAgain(Kernel kernel)
    {
        for (var i = 0; i < 4; i++)
        {
            var crashesAgain = i % 2 == 0;
            var thread = new Thread(() =>
            {
                SpinWait.SpinUntil(() => kernel.Crash.IsCrashed);
                if (crashesAgain) kernel.Die(new InvalidOperationException("a second crash"));
                while (true) kernel.Processors!.Write(GuestLayout.BarAddress + HbaRegister.GHC, sizeof(uint), (uint)(GlobalHostControl.AE | GlobalHostControl.HR));
            })
            { IsBackground = true, Name = "crashes too" };
            thread.Start();
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void AllocateAll(int bytes, object?[] held, ref int count)
    {
        try
        {
            while (count < held.Length) held[count++] = new byte[bytes];
        }
        catch (OutOfMemoryException)
        {
            // No object of this size is left.
        }
    }
}
