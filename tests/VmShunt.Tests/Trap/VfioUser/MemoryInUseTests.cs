using System.Buffers.Binary;
using Microsoft.Extensions.Logging.Abstractions;
using VmShunt.AhciBackend.VfioUser;
using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Doubles;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>
/// A client unmaps its memory, resets the device or clears Bus Master Enable while the disk reads: the reply is sent at once, and
/// no byte is written afterwards. (QEMU waits 5 s for a reply.)
/// </summary>
public sealed class MemoryInUseTests : IDisposable
{
    private const int MemoryBytes = 0x2_0000;
    private const ulong CommandList = 0x1000, FisArea = 0x2000, Table = 0x3000, Data = 0x8000;
    private readonly GatedPortDriver _port = new(1 << 20);
    private readonly VirtualizationDriver _disk;
    private readonly MemoryRegion _region;
    private readonly GuestMemory _memory;
    private readonly Microsoft.Win32.SafeHandles.SafeFileHandle _file;
    private readonly VfioUserClient _client;
    private readonly Thread _server;
    private readonly SemaphoreSlim _revoked = new(0);

    public MemoryInUseTests()
    {
        _disk = new VirtualizationDriver(new HostClassDriver(_port, NullLogger.Instance), "SERIAL", 512);
        _file = SharedMemoryFile.Create("in-use", MemoryBytes);
        _region = MemoryRegion.Map(_file, 0, MemoryBytes, 0);
        _memory = new GuestMemory(_region);
        var (one, two) = UnixConnection.CreatePair();
        _server = new Thread(() => Serve(two)) { IsBackground = true };
        _server.Start();
        _client = new VfioUserClient(one, "test");
    }

    public void Dispose()
    {
        _client.Dispose();
        _server.Join();
        _memory.Dispose();
        _region.Dispose();
        _file.Dispose();
        _disk.Dispose();
        _revoked.Dispose();
    }

    [Theory]
    [InlineData("unmaps")]
    [InlineData("resets the device")]
    [InlineData("clears bus master")]
    public void Revoking_memory_does_not_wait_for_the_disk_and_nothing_is_written_afterwards(string what)
    {
        _client.MapMemory(0, MemoryBytes, 0, _file);
        IssueRead();
        _port.AwaitOperation();
        Revoke(what);

        // The reply has arrived, and the disk still reads.
        Assert.Equal(1, _port.Operations);
        var before = _memory.GetSpan(0, MemoryBytes).ToArray();
        _port.Open();
        AhciMachine.WaitUntil(() => (Read(PortRegister.PxTFD) & (uint)AtaStatus.BSY) == 0 || (Read(PortRegister.PxIS) & (uint)PortInterrupt.HBFS) != 0);
        Assert.True(before.AsSpan().SequenceEqual(_memory.GetSpan(0, MemoryBytes)), "guest memory was written after the reply");

        // The device still works.
        _client.Reset();
        if (what == "unmaps") _client.MapMemory(0, MemoryBytes, 0, _file);
        _port.Open();
        IssueRead();
        AhciMachine.WaitUntil(() => Read(PortRegister.PxCI) == 0);
        Assert.Equal(-1, _memory.GetSpan(Data, 512).IndexOfAnyExcept((byte)0xAA));
        Assert.Equal(2, _port.Operations);
    }

    [Fact]
    public void A_client_that_disconnects_during_a_read_gets_no_byte_either()
    {
        _client.MapMemory(0, MemoryBytes, 0, _file);
        IssueRead();
        _port.AwaitOperation();
        _client.Dispose();
        Assert.True(_revoked.Wait(TimeSpan.FromSeconds(60)), "the device was not told");
        var before = _memory.GetSpan(0, MemoryBytes).ToArray();
        _port.Open();
        _server.Join();
        Assert.True(before.AsSpan().SequenceEqual(_memory.GetSpan(0, MemoryBytes)), "guest memory was written after the disconnection");
    }

    private void Revoke(string what)
    {
        switch (what)
        {
            case "unmaps":
                _client.UnmapMemory(0, MemoryBytes);
                break;
            case "resets the device":
                _client.Reset();
                break;
            case "clears bus master":
                _client.WriteRegion(VfioPciRegion.Configuration, PciConfig.Command, [0, 0]);
                break;
            default:
                throw new ArgumentException(what);
        }
    }

    private void IssueRead()
    {
        Assert.True(_memory.TryWrite(CommandList, new CommandHeader { Flags = (CommandHeaderFlags)HostToDeviceFis.Dwords, PRDTL = 1, CommandTable = Table }));
        Assert.True(_memory.TryWrite(Table, AhciMachine.Fis(AtaCommand.ReadDmaExt, 0, 1)));
        Assert.True(_memory.TryWrite(Table + CommandTable.PRDT, new PrdtEntry { Address = Data, ByteCount = 512 }));
        _client.WriteRegion(VfioPciRegion.Configuration, PciConfig.Command, [6, 0]); // memory space, bus master
        Write(PortRegister.PxCLB, (uint)CommandList);
        Write(PortRegister.PxFB, (uint)FisArea);
        Write(PortRegister.PxCMD, (uint)PortCommand.FRE);
        Write(PortRegister.PxCMD, (uint)(PortCommand.FRE | PortCommand.ST));
        Write(PortRegister.PxCI, 1);
    }

    private void Write(int register, uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        _client.WriteRegion(VfioPciRegion.Bar5, (ulong)HbaRegister.OfPort(0, register), bytes);
    }

    private uint Read(int register)
    {
        var bytes = new byte[4];
        _client.ReadRegion(VfioPciRegion.Bar5, (ulong)HbaRegister.OfPort(0, register), bytes);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    private void Serve(UnixConnection connection)
    {
        using var session = new VfioUserSession(connection, interrupt => new Announced(new AhciVfioDevice(_disk, interrupt), _revoked));
        try
        {
            session.Run();
        }
        catch (IOException)
        {
            // The client disconnected.
        }
    }

    /// <summary>Signals when the device has lost its memory.</summary>
    private sealed class Announced(AhciVfioDevice device, SemaphoreSlim revoked) : IVfioUserDevice
    {
        public IReadOnlyList<VfioRegionInfo> Regions => device.Regions;

        public IReadOnlyList<VfioIrqInfo> Irqs => device.Irqs;

        public bool ReadRegion(int region, ulong offset, Span<byte> data) => device.ReadRegion(region, offset, data);

        public bool WriteRegion(int region, ulong offset, ReadOnlySpan<byte> data) => device.WriteRegion(region, offset, data);

        public void SetMemory(GuestMemory? memory)
        {
            device.SetMemory(memory);
            if (memory is null) revoked.Release();
        }

        public void Reset() => device.Reset();

        public void Dispose() => device.Dispose();
    }
}
