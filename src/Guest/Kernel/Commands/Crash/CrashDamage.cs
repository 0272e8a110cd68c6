using System.Runtime.CompilerServices;
using VmShunt.BlockDriver.Memory;
using VmShunt.Guest.Mode;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Commands.Crash;

/// <summary>What may be wrong with a machine when it crashes, done on purpose.</summary>
internal static class CrashDamage
{
    /// <summary>Takes every page of the guest's memory that is free.</summary>
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

    /// <summary>Takes all of the managed heap (its limit is DOTNET_GCHeapHardLimit's), down to the last object.</summary>
    /// <param name="held">Keeps what is taken; the caller keeps this.</param>
    internal static void ExhaustHeap(object?[] held)
    {
        var taken = 0;
        for (var bytes = 1 << 28; bytes >= 64; bytes /= 4) TakeAll(bytes, held, ref taken);
        TakeAll(1, held, ref taken);
    }

    /// <summary>
    /// Changes the mode between all that there are, without end, on a thread of its own; returns when it has done so often.
    /// </summary>
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
                    // A change that the crash cut off, or one that found no memory.
                    kernel.Crash.ParkIfCrashed();
                }
            }
        })
        { IsBackground = true, Name = "mode changes" };
        thread.Start();
        SpinWait.SpinUntil(() => Interlocked.CompareExchange(ref changes, 0, 0) >= 3);
        // Anywhere within a change.
        Thread.Sleep(Random.Shared.Next(8));
    }

    /// <summary>
    /// Other threads fault as soon as the machine has crashed: half of them say so, the others take no notice of the crash
    /// and go on resetting the controller that the dump goes out by.
    /// </summary>
    internal static void CrashAgain(Kernel kernel)
    {
        for (var i = 0; i < 4; i++)
        {
            var saysSo = i % 2 == 0;
            var thread = new Thread(() =>
            {
                SpinWait.SpinUntil(() => kernel.Crash.IsCrashed);
                if (saysSo) kernel.Die(new InvalidOperationException("a second crash"));
                while (true) kernel.Processors!.Write(GuestLayout.BarAddress + HbaRegister.GHC, sizeof(uint), (uint)(GlobalHostControl.AE | GlobalHostControl.HR));
            })
            { IsBackground = true, Name = "crashes too" };
            thread.Start();
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void TakeAll(int bytes, object?[] held, ref int taken)
    {
        try
        {
            while (taken < held.Length) held[taken++] = new byte[bytes];
        }
        catch (OutOfMemoryException)
        {
            // That was all of this size.
        }
    }
}
