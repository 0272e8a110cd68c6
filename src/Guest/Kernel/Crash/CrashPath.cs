using System.Reflection;
using System.Runtime.CompilerServices;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Disk;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Machine;
using VmShunt.Guest.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Crash;

/// <summary>
/// What writes the dump. It has its processor, its memory (the crash reserve) and its driver since boot, and uses nothing
/// else: no lock, no allocation, no interrupt, no ring. The living guest's drivers may be in any state.
/// </summary>
internal sealed class CrashPath
{
    private const int ChunkBytes = 4 << 20;
    private const int ParkMilliseconds = 500;

    private readonly IProcessor _processor;
    private readonly Hypervisor? _hypervisor;
    private readonly PolledAhciDisk _disk;
    private readonly GuestRam _ram;
    private readonly MemoryPart[] _parts;
    private readonly GptPartition _partition;
    private readonly MachineProcessors _processors;
    private readonly ProcessorState[] _states = new ProcessorState[GuestLayout.MaxProcessors];

    /// <param name="processor">A processor that nothing else uses.</param>
    /// <param name="hypervisor">Who is told of the crash, where there is one.</param>
    /// <param name="hba">The controller of the disk to dump to.</param>
    /// <param name="machine">The machine, for its crash reserve.</param>
    /// <param name="ram">The memory to dump.</param>
    /// <param name="partition">The dump partition.</param>
    /// <param name="processors">The processors whose registers go into the dump.</param>
    internal CrashPath(
        IProcessor processor, Hypervisor? hypervisor, AhciHba hba, IMachine machine, GuestRam ram, GptPartition partition, MachineProcessors processors)
    {
        _processor = processor;
        _hypervisor = hypervisor?.On(processor);
        _disk = new PolledAhciDisk(processor, hba, machine.Memory, machine.CrashReserveAddress, machine.CrashReserveBytes);
        _ram = ram;
        _parts = [.. ram.Parts.Where(part => part.FileOffset < ram.RamBytes)];
        _partition = partition;
        _processors = processors;
        CompileAhead(
            typeof(CrashPath), typeof(ElfCore), typeof(DumpHeader), typeof(Crc32C), typeof(MachineProcessors),
            typeof(PolledAhciDisk), typeof(AhciPortRegisters), typeof(AhciCommandMemory), processor.GetType(), typeof(VirtualProcessor), typeof(Hypervisor));
    }

    /// <summary>Stops the kernel, has the bus revoked, and writes the dump through the trap.</summary>
    /// <param name="crash">Stops the kernel's threads.</param>
    /// <param name="reason">Why, for people.</param>
    /// <param name="code">Why, for the hypervisor.</param>
    /// <param name="inFlight">Counts the requests in flight, once the threads have stopped.</param>
    /// <param name="ringThreads">Threads that will stop at their next step.</param>
    /// <param name="beforeRevoke">What the crash itself does to the memory.</param>
    /// <returns>The dump's length in bytes.</returns>
    /// <exception cref="IOException">The disk failed, or has no room: no dump was written.</exception>
    internal long Run(CrashStop crash, string reason, ulong code, Func<int> inFlight, int ringThreads, Action beforeRevoke)
    {
        crash.TryRaise();
        // Processors stop at their next step. One that hangs does not stop the dump.
        for (var waited = 0; crash.Parked < ringThreads && waited < ParkMilliseconds; waited++) Thread.Sleep(1);
        var requests = inFlight();
        beforeRevoke();
        // When this returns, VM-H has let the ring's memory go and no old command moves data: the memory stands still.
        // Without a hypervisor there is no ring, and the reset of the controller ends the commands.
        _hypervisor?.ReportCrash(code);

        _disk.Restart();
        return WriteDump(reason, requests);
    }

    /// <summary>A dead kernel has no compiler any more: what the crash runs is compiled while it lives.</summary>
    private static void CompileAhead(params ReadOnlySpan<Type> types)
    {
        const BindingFlags All = BindingFlags.DeclaredOnly | BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;
        foreach (var type in types)
        {
            foreach (var method in type.GetMethods(All))
            {
                if (!method.IsAbstract && !method.ContainsGenericParameters) RuntimeHelpers.PrepareMethod(method.MethodHandle);
            }
        }
    }

    private long WriteDump(string reason, int inFlight)
    {
        var memory = _ram.Memory;
        var head = memory.GetSpan(_disk.Buffer, _disk.BufferBytes);
        head.Clear();
        var count = _processors.CopyStates(_states);
        var headBytes = ElfCore.WriteHead(head, _parts, _states.AsSpan(0, count), reason);
        var total = headBytes + (long)_ram.RamBytes;
        if ((ulong)total > (_partition.SectorCount - DumpHeader.CoreSector) * 512)
            throw new IOException($"the dump of {total:n0} bytes does not fit the dump partition of {_partition.SectorCount * 512:n0} bytes");

        var sector = _partition.FirstSector + DumpHeader.CoreSector;
        var crc = Crc32C.Append(0, head[..headBytes]);
        _disk.Write(sector, _disk.Buffer, headBytes);
        sector += (ulong)headBytes / 512;
        foreach (var part in _parts)
        {
            for (ulong at = 0; at < part.Size;)
            {
                var here = (int)Math.Min(part.Size - at, ChunkBytes);
                crc = Crc32C.Append(crc, memory.GetSpan(part.GuestAddress + at, here));
                _disk.Write(sector, part.GuestAddress + at, here);
                at += (ulong)here;
                sector += (ulong)here / 512;
            }
        }
        _disk.Flush();

        new DumpHeader(DumpState.New, total, crc, inFlight, reason).Format(head);
        _disk.Write(_partition.FirstSector, _disk.Buffer, DumpHeader.Bytes);
        _disk.Flush();
        return total;
    }
}
