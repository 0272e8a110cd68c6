using VmShunt.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// Routes an MMIO access to the device that owns the address. An unowned address reads as ones and ignores writes, as on
/// an empty bus. Any thread; allocates nothing.
/// </summary>
internal sealed class TrapRouter(AssignedDevice[] devices)
{
    private long _unclaimed;

    /// <summary>How many accesses went to unowned addresses.</summary>
    internal long Unclaimed => Interlocked.Read(ref _unclaimed);

    /// <summary>Carries out a load or a store.</summary>
    /// <param name="partition">The number of the partition.</param>
    /// <param name="exit">The exit.</param>
    /// <param name="state">The processor's registers, which are changed.</param>
    /// <returns>False when the processor is to execute the instruction again.</returns>
    /// <exception cref="IOException">The device failed.</exception>
    internal bool TryCarryOut(int partition, in ExitRecord exit, ref ProcessorState state)
    {
        var device = Find(exit.Address, (int)exit.Size, out var region, out var offset);
        if (device is not null)
        {
            var access = new TrappedAccess
            {
                Offset = offset,
                Region = (uint)region,
                Size = exit.Size,
                Partition = (uint)partition,
                Processor = exit.Processor,
                Sequence = exit.Sequence,
                Reason = exit.Reason,
                InstructionLength = TrappedInstruction.Length(exit.Reason, exit.Size),
                Address = exit.Address,
                State = exit.State,
            };
            return device.TryAccess(access, ref state);
        }
        Interlocked.Increment(ref _unclaimed);
        if (exit.Reason == ExitReason.MmioRead) state.Rax = ulong.MaxValue >> 64 - 8 * (int)exit.Size;
        return true;
    }

    private AssignedDevice? Find(ulong address, int size, out int region, out ulong offset)
    {
        if (TryFindFunction(address, out var function, out offset))
        {
            region = VfioPciRegion.Configuration;
            return function.HasConfiguration(offset, size) ? function : null;
        }
        region = VfioPciRegion.Bar5;
        foreach (var device in devices)
            if (device.Claims(address, size, out offset)) return device;
        return null;
    }

    private bool TryFindFunction(ulong address, out AssignedDevice function, out ulong register)
    {
        var offset = address - GuestLayout.EcamAddress;
        register = offset & 0xfff;
        var index = (int)(offset >> 15) - 1;
        if (offset < GuestLayout.EcamBytes && (offset >> 12 & 7) == 0 && (uint)index < (uint)devices.Length)
        {
            function = devices[index];
            return true;
        }
        function = null!;
        return false;
    }
}
