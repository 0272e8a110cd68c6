using System.Buffers.Binary;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.AhciBackend.Controller;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Files;
using VmShunt.Ring.Memory;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Doubles;

/// <summary>A machine with one HBA: real guest memory, and the register accesses of an operating system's driver.</summary>
internal class AhciMachine : IDisposable
{
    internal const ulong CommandList = 0x1000, FisArea = 0x2000, Tables = 0x10_0000, Data = 0x100_0000;
    internal const ulong LowBytes = 0x400_0000, HighBase = 0x1_0000_0000, HighBytes = 0x10_0000;
    internal const PortInterrupt Errors =
        PortInterrupt.TFES | PortInterrupt.HBFS | PortInterrupt.HBDS | PortInterrupt.IFS | PortInterrupt.OFS;

    private const ulong TableStride = 0x2_0000;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private readonly MemoryRegion[] _regions;
    private readonly List<bool> _levels = [];

    internal AhciMachine(PortDriver port, int blockBytes = 512, Action<bool>? onInterruptLevel = null, bool writeCache = true, bool waitForRoom = false)
    {
        using var file = SharedMemoryFile.Create("ahci-test", (long)(LowBytes + HighBytes));
        _regions = [MemoryRegion.Map(file, 0, LowBytes, 0), MemoryRegion.Map(file, LowBytes, HighBytes, HighBase)];
        Memory = new GuestMemory(_regions);
        Disk = new VirtualizationDriver(new HostClassDriver(port, NullLogger.Instance, waitForRoom), "SER0123456789", blockBytes, writeCache);
        Controller = new AhciController(Disk, level =>
        {
            lock (_levels) _levels.Add(level);
            onInterruptLevel?.Invoke(level);
        });
        Controller.SetMemory(Memory);
    }

    internal AhciController Controller { get; }

    internal GuestMemory Memory { get; }

    /// <summary>The disk, for a second front end.</summary>
    internal VirtualizationDriver Disk { get; }

    internal PortInterrupt Interrupts => (PortInterrupt)Port(PortRegister.PxIS);

    internal PortCommand Command => (PortCommand)Port(PortRegister.PxCMD);

    internal AtaStatus Status => (AtaStatus)Port(PortRegister.PxTFD);

    internal AtaError Error => (AtaError)(Port(PortRegister.PxTFD) >> 8);

    internal uint Issued => Port(PortRegister.PxCI);

    /// <summary>Every change of the interrupt line.</summary>
    internal bool[] Levels
    {
        get
        {
            lock (_levels) return [.. _levels];
        }
    }

    internal virtual uint Hba(int register)
    {
        Span<byte> bytes = stackalloc byte[4];
        Controller.Read((ulong)register, bytes);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    internal virtual void Hba(int register, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        Controller.Write((ulong)register, bytes);
    }

    internal uint Port(int register) => Hba(HbaRegister.OfPort(0, register));

    internal void Port(int register, uint value) => Hba(HbaRegister.OfPort(0, register), value);

    /// <summary>Starts the port as a driver does, with all interrupts enabled.</summary>
    internal AhciMachine Start()
    {
        Port(PortRegister.PxCLB, (uint)CommandList);
        Port(PortRegister.PxCLBU, 0);
        Port(PortRegister.PxFB, (uint)FisArea);
        Port(PortRegister.PxFBU, 0);
        Port(PortRegister.PxSERR, uint.MaxValue);
        Port(PortRegister.PxIS, uint.MaxValue);
        Port(PortRegister.PxIE, uint.MaxValue);
        Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        Port(PortRegister.PxCMD, (uint)(PortCommand.FRE | PortCommand.ST));
        Hba(HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.IE));
        return this;
    }

    /// <summary>Recovers from an error as AHCI 1.3.1 §6.2.2.1 demands.</summary>
    internal void Recover()
    {
        Port(PortRegister.PxCMD, (uint)PortCommand.FRE);
        WaitUntil(() => (Command & PortCommand.CR) == 0);
        Port(PortRegister.PxSERR, uint.MaxValue);
        Port(PortRegister.PxIS, uint.MaxValue);
        Port(PortRegister.PxCMD, (uint)(PortCommand.FRE | PortCommand.ST));
    }

    internal static HostToDeviceFis Fis(AtaCommand command, ulong lba = 0, int count = 0, byte features = 0) => new()
    {
        Type = FisType.RegisterH2D,
        Flags = FisFlags.C,
        Command = command,
        Features = features,
        Address = new AtaAddress { Lba = lba, Device = AtaDevice.LBA, Count = (ushort)count },
    };

    /// <summary>As <see cref="Fis"/>, with LBA bits 27:24 in the device register.</summary>
    internal static HostToDeviceFis Fis28(AtaCommand command, ulong lba, int count)
    {
        var fis = Fis(command, lba & 0xFF_FFFF, count & 0xFF);
        fis.Address.Device |= (AtaDevice)(lba >> 24);
        return fis;
    }

    internal static ulong Table(int slot) => Tables + (ulong)slot * TableStride;

    internal static ulong Header(int slot) => CommandList + (ulong)slot * CommandHeader.SizeInBytes;

    /// <summary>Builds a command in a slot.</summary>
    internal void Prepare(int slot, HostToDeviceFis fis, params (ulong Address, int Bytes)[] pieces)
    {
        Assert.True(Memory.TryWrite(Header(slot), new CommandHeader
        {
            Flags = (CommandHeaderFlags)HostToDeviceFis.Dwords,
            PRDTL = (ushort)pieces.Length,
            CommandTable = Table(slot),
        }));
        Assert.True(Memory.TryWrite(Table(slot), fis));
        for (var i = 0; i < pieces.Length; i++)
        {
            var entry = new PrdtEntry { Address = pieces[i].Address, ByteCount = pieces[i].Bytes };
            Assert.True(Memory.TryWrite(Table(slot) + CommandTable.PRDT + (ulong)i * PrdtEntry.SizeInBytes, entry));
        }
    }

    internal void Issue(uint slots) => Port(PortRegister.PxCI, slots);

    /// <summary>Issues a command in slot 0 and waits until it completes or fails.</summary>
    /// <returns>PxIS, which is then cleared.</returns>
    internal PortInterrupt Run(HostToDeviceFis fis, params (ulong Address, int Bytes)[] pieces)
    {
        Prepare(0, fis, pieces);
        return Run(slots: 1);
    }

    /// <summary>Issues prepared commands and waits until all complete, or one fails.</summary>
    internal PortInterrupt Run(uint slots)
    {
        Issue(slots);
        WaitUntil(() => (Issued & slots) == 0 || (Interrupts & Errors) != 0);
        var interrupts = Interrupts;
        Port(PortRegister.PxIS, (uint)interrupts);
        return interrupts;
    }

    internal DeviceToHostFis ReceivedRegisters()
    {
        Assert.True(Memory.TryRead<DeviceToHostFis>(FisArea + ReceivedFis.RFIS, out var fis));
        return fis;
    }

    internal uint Prdbc(int slot = 0)
    {
        Assert.True(Memory.TryRead<uint>(Header(slot) + CommandHeader.PrdbcOffset, out var count));
        return count;
    }

    internal byte[] Identify()
    {
        Assert.Equal(PortInterrupt.PSS, Run(Fis(AtaCommand.IdentifyDevice), (Data, 512)));
        return Memory.GetSpan(Data, 512).ToArray();
    }

    internal static void WaitUntil(Func<bool> condition) => Assert.True(SpinWait.SpinUntil(condition, s_patience), "the condition did not become true in time");

    internal byte[] Snapshot() => Memory.GetSpan(0, (int)LowBytes).ToArray();

    public virtual void Dispose()
    {
        Controller.Dispose();
        Memory.Dispose();
        foreach (var region in _regions) region.Dispose();
        Disk.Dispose();
    }
}
