using System.Reflection;
using System.Runtime.CompilerServices;
using VmShunt.BlockDriver.Requests;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Firmware.Partitions;
using VmShunt.Guest.Machine;
using VmShunt.Ring.Memory;
using VmShunt.Trap.VmExit;

namespace VmShunt.Guest.Crash;

/// <summary>
/// Writes the dump. It has its own processor, memory (the crash reserve) and polled driver since boot, and uses nothing
/// else: no lock, no allocation, no interrupt, no ring. The crashed kernel's drivers may be in any state.
/// </summary>
internal sealed class CrashPath
{
    private const int ChunkBytes = 4 << 20;
    private const int ParkMilliseconds = 500;
    private const int RuntimeReserveObjects = 64, RuntimeReserveObjectBytes = 64 << 10;
    private const string UnsavedDump = "the dump of an earlier crash was not exported yet (dump export FILE), and --overwrite-dump was not given";

    private readonly IProcessor _processor;
    private readonly Hypervisor? _hypervisor;
    private readonly PolledAhciDisk _disk;
    private readonly GuestMemory _memory, _dump;
    private readonly MemoryPart[] _parts;
    private readonly long _ramBytes;
    private readonly MachineProcessors _processors;
    private readonly ProcessorState[] _states = new ProcessorState[GuestLayout.MaxProcessors];
    private GptPartition? _partition;
    private string? _obstacle = "the disk has no dump partition";
    private bool _overwrites;

    // The threads of the .NET runtime do not stop at a crash. Without a free byte they collect garbage again and again, and
    // each collection suspends the dump.
    private byte[][]? _runtimeReserve = [.. Enumerable.Range(0, RuntimeReserveObjects).Select(static _ => new byte[RuntimeReserveObjectBytes])];

    /// <summary>Prepares the crash path. It owns the controller until <see cref="FindPartitions"/> returns.</summary>
    /// <param name="processor">A processor that nothing else uses.</param>
    /// <param name="hypervisor">The hypervisor to report the crash to, or null.</param>
    /// <param name="hba">The controller of the disk to dump to.</param>
    /// <param name="machine">The machine, for its crash reserve and the memory to dump.</param>
    /// <param name="processors">The processors whose registers go into the dump.</param>
    internal CrashPath(IProcessor processor, Hypervisor? hypervisor, AhciHba hba, IMachine machine, MachineProcessors processors)
    {
        _processor = processor;
        _hypervisor = hypervisor?.On(processor);
        _memory = machine.Memory;
        _dump = machine.DumpMemory;
        _parts = [.. machine.Parts];
        _ramBytes = (long)machine.RamBytes;
        _disk = new PolledAhciDisk(processor, hba, machine.Memory, machine.CrashReserveAddress, machine.CrashReserveBytes);
        _processors = processors;
    }

    /// <summary>
    /// Compiles and rehearses everything that the crash runs, since a crashed kernel has no JIT compiler; reads the disk's
    /// partitions meanwhile. Releases the controller.
    /// </summary>
    /// <exception cref="IOException">The disk does not work.</exception>
    internal IReadOnlyList<GptPartition> FindPartitions()
    {
        CompileAhead(
            typeof(CrashPath), typeof(ElfCore), typeof(DumpHeader), typeof(Crc32C), typeof(MachineProcessors), typeof(CrashGate), typeof(CrashReport), typeof(Ordered),
            typeof(PolledAhciDisk), typeof(AhciCommandEngine), typeof(AhciPortRegisters), typeof(AhciCommandMemory), _processor.GetType(), typeof(VirtualProcessor), typeof(Hypervisor));
        _disk.Start();
        IReadOnlyList<GptPartition> partitions = [];
        if (Gpt.TryRead(_disk, out var table, out _))
        {
            partitions = table.Partitions;
            _partition = table.Find(PartitionTypes.Dump);
            if (_partition is not null) Ordered.Store(ref _obstacle, null);
        }
        Rehearse();
        _disk.Stop();
        return partitions;
    }

    /// <summary>The reason why no dump can be written, or null. Acquire: another thread may remove the stack.</summary>
    internal string? Obstacle => Ordered.Load(ref _obstacle);

    /// <summary>Lets a crash overwrite a dump that was not exported.</summary>
    internal void AllowOverwriting() => _overwrites = true;

    /// <summary>The emulating stack, the only path of a dump, is being removed.</summary>
    internal void GiveUp() => Ordered.Store(ref _obstacle, $"the emulating stack was removed, and a dump takes no other path; {_ramBytes} bytes of memory are lost");

    /// <summary>
    /// Reports the crash, which revokes the bus, and writes the dump over the trap path, on the thread that raised the crash.
    /// Never throws: a failure is part of the outcome. The machine must be powered off afterwards.
    /// </summary>
    /// <param name="crash">Stops the kernel's threads.</param>
    /// <param name="reason">The reason, as text.</param>
    /// <param name="code">The hypervisor's crash code.</param>
    /// <param name="inFlight">Requests in flight at the crash.</param>
    /// <param name="damage">Damage to memory that the crash causes, or null.</param>
    internal CrashOutcome Run(CrashGate crash, string reason, ulong code, int inFlight, Action? damage = null)
    {
        // Threads park at their next step. A hanging thread only delays the dump.
        crash.WaitForParked(ParkMilliseconds);
        var allocated = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            damage?.Invoke();
            _runtimeReserve = null;
            allocated = GC.GetAllocatedBytesForCurrentThread();
            // From here on no ring and no old command can change the memory. Without a hypervisor there is no ring, and
            // the reset of the controller aborts the commands.
            _hypervisor?.ReportCrash(code);
            if (Obstacle is { } obstacle) return new CrashOutcome(0, inFlight, 0, obstacle);
            _disk.Restart();
            if (!_overwrites && HasUnsavedDump()) return new CrashOutcome(0, inFlight, GC.GetAllocatedBytesForCurrentThread() - allocated, UnsavedDump);
            var bytes = WriteDump(reason, inFlight);
            return new CrashOutcome(bytes, inFlight, GC.GetAllocatedBytesForCurrentThread() - allocated, null);
        }
        catch (Exception e)
        {
            return new CrashOutcome(0, inFlight, GC.GetAllocatedBytesForCurrentThread() - allocated, MessageOf(e));
        }
    }

    /// <summary>An exception's message, also if no memory is left.</summary>
    internal static string MessageOf(Exception e)
    {
        if (e is OutOfMemoryException) return "no memory is left";
        try
        {
            return e.Message;
        }
        catch (OutOfMemoryException)
        {
            return "a failure occurred, and no memory is left to describe it";
        }
    }

    // Runs everything but the write of the dump, into the crash reserve.
    private void Rehearse()
    {
        _ = _hypervisor?.OffersBus(0);
        _ = Obstacle;
        var head = _memory.GetSpan(_disk.Buffer, _disk.BufferBytes);
        var length = WriteHead(head, "rehearsal");
        _ = Crc32C.Append(0, head[..length]);
        new DumpHeader(DumpState.New, length, 0, 0, "rehearsal").Format(head);
        _ = DumpHeader.IsUnsaved(head);
        if (_partition is not null) _ = HasUnsavedDump();
        _ = _dump.GetSpan(_parts[0].GuestAddress, 1);
        _disk.Flush();
        head.Clear();
    }

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

    private bool HasUnsavedDump()
    {
        var header = _memory.GetSpan(_disk.Buffer, DumpHeader.Bytes);
        _disk.Read(_partition!.FirstSector, _disk.Buffer, DumpHeader.Bytes);
        return DumpHeader.IsUnsaved(header);
    }

    private int WriteHead(Span<byte> head, string reason)
    {
        head.Clear();
        var count = _processors.CopyStates(_states);
        return ElfCore.WriteHead(head, _parts, _states.AsSpan(0, count), reason);
    }

    private long WriteDump(string reason, int inFlight)
    {
        var partition = _partition!;
        var head = _memory.GetSpan(_disk.Buffer, _disk.BufferBytes);
        var headBytes = WriteHead(head, reason);
        var total = headBytes + _ramBytes;
        if ((ulong)total > (partition.SectorCount - DumpHeader.CoreSector) * 512)
            throw new IOException($"the dump of {total:n0} bytes does not fit the dump partition of {partition.SectorCount * 512:n0} bytes");

        // First clears the header of an earlier dump, which would not match the new content.
        _disk.Write(partition.FirstSector, _disk.Buffer + (ulong)headBytes, DumpHeader.Bytes);
        var sector = partition.FirstSector + DumpHeader.CoreSector;
        var crc = Crc32C.Append(0, head[..headBytes]);
        _disk.Write(sector, _disk.Buffer, headBytes);
        sector += (ulong)headBytes / 512;
        foreach (var part in _parts)
        {
            for (ulong at = 0; at < part.Size;)
            {
                var here = (int)Math.Min(part.Size - at, ChunkBytes);
                crc = Crc32C.Append(crc, _dump.GetSpan(part.GuestAddress + at, here));
                _disk.Write(sector, part.GuestAddress + at, here);
                at += (ulong)here;
                sector += (ulong)here / 512;
            }
        }
        _disk.Flush();

        new DumpHeader(DumpState.New, total, crc, inFlight, reason).Format(head);
        _disk.Write(partition.FirstSector, _disk.Buffer, DumpHeader.Bytes);
        _disk.Flush();
        return total;
    }
}
