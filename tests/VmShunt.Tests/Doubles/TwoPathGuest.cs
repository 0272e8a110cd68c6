using VmShunt.AhciBackend;
using VmShunt.BlockBackend;
using VmShunt.Guest.Firmware.Ahci;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Hypervisor;
using VmShunt.Trap.Ahci;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Doubles;

/// <summary>A server with transitions, and a guest of this process with both paths: QEMU's messages, and a polled AHCI driver.</summary>
internal sealed class TwoPathGuest : IDisposable
{
    private const ulong Abar = 0xF000_0000;

    private readonly string _ring = RunningHypervisor.NewSocket(), _trap = RunningHypervisor.NewSocket();
    private readonly TestMemory _ram = new(1 << 20);
    private readonly BlockServer _server;
    private readonly VfioUserClient _client;

    internal TwoPathGuest(int pollers = 0, BlockStorage? disk = null, bool pairsSockets = false)
    {
        _server = new BlockServer(disk ?? HostDisk.Open("memory:16M"), new BlockServerOptions { Log = Log, Time = Clock, Transition = TransitionMode.Auto, PairsSockets = pairsSockets, Queues = 2, Pollers = pollers, Wait = WaitPolicy.Never });
        _server.ListenVhostUser(_ring);
        _server.ListenVfioUser(_trap);
        Qemu = new QemuFrontend(Frontend);
        Qemu.Realize(UnixConnection.Connect(_ring), isReconnect: false);
        _client = VfioUserClient.Connect(_trap);
        _client.MapMemory(TestMemory.Start, (ulong)_ram.Bytes, 0, _ram.File);
        Configure(PciConfig.Command, (uint)(PciCommand.MemorySpace | PciCommand.BusMaster));
        Disk = new PolledAhciDisk(new VfioMmio(_client, Abar), new AhciHba(1, Abar), _ram.Memory, TestMemory.Start, 1 << 16);
    }

    internal ManualClock Clock { get; } = new();

    internal LogLines Log { get; } = new();

    internal ScriptedFrontend Frontend { get; } = new();

    internal QemuFrontend Qemu { get; }

    /// <summary>The trap path's disk.</summary>
    internal PolledAhciDisk Disk { get; }

    /// <summary>PxSSTS: whether a disk is at the port.</summary>
    internal uint Link => Register(HbaRegister.OfPort(0, PortRegister.PxSSTS));

    /// <summary>Sizes the BAR, as a kernel does that finds the device.</summary>
    internal void Enumerate()
    {
        Configure(PciConfig.Bar5, uint.MaxValue);
        Configure(PciConfig.Bar5, (uint)Abar);
    }

    /// <summary>A new driver resets the device and starts the ring, empty.</summary>
    internal void StartDriver(bool packed = false)
    {
        Frontend.Send(VhostUserRequest.ResetDevice, []);
        Frontend.ResetRing(packed);
        Qemu.Start(QemuFrontend.Linux | (packed ? VirtioBlkFeatures.PackedRing : 0), record: null, Frontend.RingPosition, sharesMemory: true);
        Frontend.Query(VhostUserRequest.GetStatus);
    }

    internal void ResetDevice()
    {
        Qemu.Stop(isOld: false);
        Frontend.Send(VhostUserRequest.ResetDevice, []);
        Frontend.Query(VhostUserRequest.GetStatus);
    }

    /// <summary>Connects the ring's front-end anew, as after a lost connection.</summary>
    internal void Reconnect()
    {
        Frontend.Disconnect();
        Qemu.Realize(UnixConnection.Connect(_ring), isReconnect: true);
    }

    /// <summary>Further sessions are closed at once.</summary>
    internal void AssertRefusesMore()
    {
        foreach (var path in new[] { _ring, _trap })
        {
            using var more = UnixConnection.Connect(path, TimeSpan.FromSeconds(60));
            Assert.Equal(0, more.Receive(new byte[1]));
        }
    }

    internal void EnableInterrupts()
    {
        Register(HbaRegister.OfPort(0, PortRegister.PxIE), uint.MaxValue);
        Register(HbaRegister.GHC, (uint)(GlobalHostControl.AE | GlobalHostControl.IE));
    }

    /// <summary>Writes a sector on the trap path.</summary>
    /// <returns>False when the disk failed it.</returns>
    internal bool TryWrite(ulong sector, byte value)
    {
        _ram.Span(Disk.Buffer, 512).Fill(value);
        try
        {
            Disk.Write(sector, Disk.Buffer, 512);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    internal byte Read(ulong sector)
    {
        var bytes = new byte[512];
        Disk.ReadSectors(sector, bytes);
        return bytes[0];
    }

    public void Dispose()
    {
        Frontend.Dispose();
        _client.Dispose();
        _server.Dispose();
        _ram.Dispose();
    }

    private void Configure(int offset, uint value) => _client.WriteRegion(VfioPciRegion.Configuration, (ulong)offset, BitConverter.GetBytes(value));

    private uint Register(int register)
    {
        var bytes = new byte[4];
        _client.ReadRegion(VfioPciRegion.Bar5, (ulong)register, bytes);
        return BitConverter.ToUInt32(bytes);
    }

    private void Register(int register, uint value) => _client.WriteRegion(VfioPciRegion.Bar5, (ulong)register, BitConverter.GetBytes(value));
}
