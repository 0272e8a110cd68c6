using System.Buffers.Binary;
using System.Runtime.InteropServices;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// Checks at the start that VM-H serves a usable device, and keeps this connection open to notice when VM-H exits.
/// </summary>
internal sealed class DeviceSupervisor : IDisposable
{
    private const int LargestAccess = 8, HeaderBytes = 64;

    // Revision and class code (PCI 3.0 §6.2.1); class 0 says nothing (appendix D).
    private const ulong ClassRegister = 8;
    private const uint AhciClass = 0x01_06_01;

    private readonly VfioUserClient _client;

    private DeviceSupervisor(DeviceSpec spec, VfioUserClient client)
    {
        Spec = spec;
        _client = client;
    }

    internal DeviceSpec Spec { get; }

    /// <summary>Becomes readable when VM-H closes the connection.</summary>
    internal SafeHandle Handle => _client.Handle;

    /// <param name="spec">The device.</param>
    /// <param name="trap">How VM-H is served and what it gets of an access.</param>
    /// <param name="wait">How long to wait for VM-H's socket.</param>
    /// <exception cref="IOException">VM-H cannot be reached or serves another kind of device; the message says what to do.</exception>
    internal static DeviceSupervisor Start(DeviceSpec spec, TrapTerms trap, TimeSpan wait)
    {
        UnixConnection connection;
        try
        {
            connection = UnixConnection.ConnectWithRetry(spec.RegisterSocket, wait, trap.ResponseTimeout);
        }
        catch (IOException e)
        {
            throw new IOException($"device {spec.Name}: {e.Message}; start vmshunt-host with --vfio-user {spec.RegisterSocket} first", e);
        }
        // VM-H listens on the bus socket before it listens on the register socket, so one wait covers both.
        var problem = spec.BusSocket is { } bus && !File.Exists(bus) ? $"device {spec.Name}: nothing serves the bus at {bus}; start vmshunt-host with --vhost-user {bus} first" : null;
        VfioUserClient? client = null;
        try
        {
            if (problem is null)
            {
                client = new VfioUserClient(connection, spec.RegisterSocket, trap.State == TrapState.Full);
                if ((trap.FindProblem(client) ?? FindProblem(client)) is { } unusable) problem = $"device {spec.Name}: {spec.RegisterSocket} {unusable}; give the vfio-user socket of a vmshunt-host";
            }
            if (problem is null) return new DeviceSupervisor(spec, client!);
        }
        catch (IOException e)
        {
            connection.Dispose();
            client?.Dispose();
            throw new IOException($"device {spec.Name}: {e.Message}; give the vfio-user socket of a vmshunt-host", e);
        }
        connection.Dispose();
        client?.Dispose();
        throw new IOException(problem);
    }

    public void Dispose() => _client.Dispose();

    private static string? FindProblem(VfioUserClient client)
    {
        var info = client.GetInfo();
        if (!info.IsPci || info.RegionCount <= VfioPciRegion.Configuration) return "serves no PCI device";
        if (!info.CanReset) return "serves a device that cannot be reset";
        if (client.MaxDataBytes < LargestAccess) return $"accepts accesses of {client.MaxDataBytes} bytes; a guest's have up to {LargestAccess}";
        var configuration = client.GetRegionInfo(VfioPciRegion.Configuration);
        if (configuration.Size < HeaderBytes || !IsAccessible(configuration)) return $"serves a configuration space of {configuration.Size} bytes that cannot be read and written as a whole";
        if (ReadClass(client) is not (0 or AhciClass) and var other)
            return $"serves a device of class {other >> 16:x2}:{other >> 8 & 0xff:x2}:{other & 0xff:x2}, which is no AHCI controller ({AhciClass >> 16:x2}:{AhciClass >> 8 & 0xff:x2}:{AhciClass & 0xff:x2})";
        var bar = client.GetRegionInfo(VfioPciRegion.Bar5);
        if (bar.Size is 0 or > GuestLayout.BarStride) return $"serves a device whose BAR 5 has {bar.Size} bytes, not 1 to {GuestLayout.BarStride}";
        if (!IsAccessible(bar)) return "serves a device whose BAR 5 cannot be read and written";
        if (info.IrqCount <= VfioPciIrq.Msi || client.GetIrqInfo(VfioPciIrq.Msi) is not { Count: > 0 } msi || (msi.Flags & VfioIrqFlags.EventFd) == 0) return "serves a device without MSI";
        return FindMemoryProblem(client);
    }

    // A page that no guest has.
    private static string? FindMemoryProblem(VfioUserClient client)
    {
        const ulong bytes = 4096;
        using var file = SharedMemoryFile.Create("vmshunt-probe", (long)bytes);
        try
        {
            client.MapMemory(0, bytes, 0, file);
            client.UnmapMemory(0, bytes);
            return null;
        }
        catch (VfioUserException e)
        {
            return $"does not map a guest's memory ({e.Message})";
        }
    }

    private static bool IsAccessible(in VfioRegionInfo region) => region.Flags.HasFlag(VfioRegionFlags.Read | VfioRegionFlags.Write);

    private static uint ReadClass(VfioUserClient client)
    {
        Span<byte> value = stackalloc byte[sizeof(uint)];
        client.ReadRegion(VfioPciRegion.Configuration, ClassRegister, value);
        return BinaryPrimitives.ReadUInt32LittleEndian(value) >> 8;
    }
}
