using System.Runtime.InteropServices;
using VmShunt.Hypervisor;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Hypervisor;

/// <summary>vfio-user servers that the hypervisor cannot use: it says at its start what is missing, and ends.</summary>
public class ForeignServerTests
{
    private static readonly VfioRegionInfo s_bar = new(VfioRegionFlags.Read | VfioRegionFlags.Write, 4096), s_configuration = s_bar with { Size = 256 };

    public static TheoryData<string, string> Devices => new()
    {
        { "usable", "" },
        { "an NVMe controller", "class 01:08:02, which is no AHCI controller (01:06:01)" },
        { "no BAR 5", "BAR 5 has 0 bytes" },
        { "a large BAR 5", "BAR 5 has 1073741824 bytes" },
        { "a BAR 5 to read only", "BAR 5 cannot be read and written" },
        { "a short configuration space", "configuration space of 32 bytes" },
        { "too few regions", "serves no PCI device" },
        { "no MSI", "without MSI" },
        { "MSI without eventfds", "without MSI" },
        { "no interrupts", "without MSI" },
    };

    [Theory]
    [MemberData(nameof(Devices))]
    public void A_device_that_cannot_be_used_is_named(string kind, string why)
    {
        using var server = new Server(connection =>
        {
            using var session = new VfioUserSession(connection, _ => new ForeignDevice(kind));
            session.Run();
        });
        AssertRefused(server.Path, why);
    }

    public static TheoryData<string, string> Scripts => new()
    {
        { "VERSION 1.0", "answered VERSION with 1.0, not 0.0 or 0.1" },
        { "VERSION 0.9", "answered VERSION with 0.9, not 0.0 or 0.1" },
        { "VERSION refused", "refused Version (errno 22)" },
        { "closes at once", "it closed the connection" },
        { "closes after VERSION", "it closed the connection" },
        { "small accesses", "accepts accesses of 4 bytes; a guest's have up to 8" },
        { "no PCI", "serves no PCI device" },
        { "no reset", "cannot be reset" },
        { "refuses DMA_MAP", "does not map a guest's memory (the device at" },
        { "another protocol", "instead of a reply" },
    };

    [Theory]
    [MemberData(nameof(Scripts))]
    public void A_server_that_cannot_be_used_is_named(string script, string why)
    {
        using var server = new Server(connection => Play(connection, script));
        AssertRefused(server.Path, why);
    }

    private static void AssertRefused(string path, string why)
    {
        var spec = new DeviceSpec("disk0", path, null);
        if (why.Length == 0)
        {
            using var supervisor = DeviceSupervisor.Start(spec, new TrapTerms(TimeSpan.FromSeconds(60), TrapState.Access), default);
            return;
        }
        var error = Assert.Throws<IOException>(() => DeviceSupervisor.Start(spec, new TrapTerms(TimeSpan.FromSeconds(60), TrapState.Access), default));
        Assert.StartsWith("device disk0: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
        Assert.EndsWith("; give the vfio-user socket of a vmshunt-host", error.Message, StringComparison.Ordinal);
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
    }

    private static void Play(UnixConnection connection, string script)
    {
        using var end = new FramedConnection(connection);
        while (end.Receive(out VfioUserHeader request))
        {
            end.Receive(new byte[request.Size - VfioUserHeader.HeaderBytes]);
            end.Descriptors.CloseAll();
            if (script == "closes at once") return;
            var (flags, errno, payload) = (VfioUserFlags.Reply, 0u, Answer(request.Command, script));
            if (script == "another protocol") flags = VfioUserFlags.Command;
            if (payload is null && script == "closes after VERSION") return;
            if (payload is null) (flags, errno) = (VfioUserFlags.Reply | VfioUserFlags.Error, script == "VERSION refused" ? 22u : 95);
            var size = VfioUserHeader.HeaderBytes + (payload?.Length ?? 0);
            end.Send([.. MessageGen.Bytes(new VfioUserHeader { Id = request.Id, Command = request.Command, Size = (uint)size, Flags = flags, Error = errno }), .. payload ?? []]);
        }
    }

    private static byte[]? Answer(VfioUserCommand command, string script) => command switch
    {
        VfioUserCommand.Version => script switch
        {
            "VERSION 1.0" => [1, 0, 0, 0],
            "VERSION 0.9" => [0, 0, 9, 0],
            "VERSION refused" => null,
            "small accesses" => [0, 0, 1, 0, .. "{\"capabilities\":{\"max_data_xfer_size\":4}}\0"u8],
            _ => [0, 0, 1, 0],
        },
        VfioUserCommand.DeviceGetInfo when script != "closes after VERSION" => Words(16, script == "no PCI" ? 1u : script == "no reset" ? 2u : 3u, 9, 5),
        VfioUserCommand.DeviceGetRegionInfo => Words(32, 3, 0, 0, 4096, 0, 0, 0),
        VfioUserCommand.DeviceGetIrqInfo => Words(16, 9, 1, 1),
        VfioUserCommand.RegionRead => [.. Words(8, 0, 7, 4), 0, 1, 6, 1],
        _ => null,
    };

    private static byte[] Words(params ReadOnlySpan<uint> words) => MemoryMarshal.AsBytes(words).ToArray();

    /// <summary>A server of one script, or of one device.</summary>
    private sealed class Server : IDisposable
    {
        private readonly VmShunt.Ring.Serving.SessionListener _listener;

        internal Server(Action<UnixConnection> serve) => _listener = new VmShunt.Ring.Serving.SessionListener(Path, serve);

        internal string Path { get; } = RunningHypervisor.NewSocket();

        public void Dispose() => _listener.Dispose();
    }

    private sealed class ForeignDevice(string kind) : IVfioUserDevice
    {
        public IReadOnlyList<VfioRegionInfo> Regions { get; } = kind switch
        {
            "no BAR 5" => [s_bar, default, default, default, default, default, default, s_configuration, default],
            "a large BAR 5" => [default, default, default, default, default, s_bar with { Size = 1 << 30 }, default, s_configuration, default],
            "a BAR 5 to read only" => [default, default, default, default, default, s_bar with { Flags = VfioRegionFlags.Read }, default, s_configuration, default],
            "a short configuration space" => [default, default, default, default, default, s_bar, default, s_configuration with { Size = 32 }, default],
            "too few regions" => [s_bar, default],
            _ => [default, default, default, default, default, s_bar, default, s_configuration, default],
        };

        public IReadOnlyList<VfioIrqInfo> Irqs { get; } = kind switch
        {
            "no interrupts" => [],
            "no MSI" => [new VfioIrqInfo(VfioIrqFlags.EventFd, 1), default, default, default, default],
            "MSI without eventfds" => [new VfioIrqInfo(VfioIrqFlags.EventFd, 1), new VfioIrqInfo(VfioIrqFlags.None, 1), default, default, default],
            _ => VfioPciIrq.PinAndOneMessage,
        };

        public bool ReadRegion(int region, ulong offset, Span<byte> data)
        {
            byte[] revisionAndClass = kind == "an NVMe controller" ? [0, 2, 8, 1] : [0, 1, 6, 1];
            data.Clear();
            if (offset == 8) revisionAndClass.CopyTo(data);
            return true;
        }

        public bool WriteRegion(int region, ulong offset, ReadOnlySpan<byte> data) => true;

        public void SetMemory(GuestMemory? memory)
        {
            // It has no use for it.
        }

        public void Reset()
        {
            // It has no state.
        }

        public void Dispose()
        {
            // It has no state.
        }
    }
}
