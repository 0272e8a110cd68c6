using System.Runtime.InteropServices;
using VmShunt.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// Checks at the start that VM-H serves a usable device, and keeps this connection open to notice when VM-H exits.
/// </summary>
internal sealed class DeviceSupervisor : IDisposable
{
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
    /// <param name="responseTimeout">How long VM-H may take to answer.</param>
    /// <param name="wait">How long to wait for VM-H's socket.</param>
    /// <exception cref="IOException">VM-H cannot be reached or serves another kind of device; the message says what to do.</exception>
    internal static DeviceSupervisor Start(DeviceSpec spec, TimeSpan responseTimeout, TimeSpan wait)
    {
        VfioUserClient client;
        try
        {
            client = VfioUserClient.Connect(spec.RegisterSocket, responseTimeout, wait);
        }
        catch (IOException e)
        {
            throw new IOException($"device {spec.Name}: {e.Message}; start vmshunt-host with --vfio-user {spec.RegisterSocket} first", e);
        }
        try
        {
            // VM-H listens on the bus socket before it listens on the register socket, so one wait covers both.
            if (spec.BusSocket is { } bus && !File.Exists(bus))
                throw new IOException($"device {spec.Name}: nothing serves the bus at {bus}; start vmshunt-host with --vhost-user {bus} first");
            if (FindProblem(client) is { } problem) throw new IOException($"device {spec.Name}: {spec.RegisterSocket} {problem}; give the vfio-user socket of a vmshunt-host");
            return new DeviceSupervisor(spec, client);
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    public void Dispose() => _client.Dispose();

    private static string? FindProblem(VfioUserClient client)
    {
        var info = client.GetInfo();
        if (!info.IsPci || info.RegionCount <= VfioPciRegion.Configuration) return "serves no PCI device";
        if (!info.CanReset) return "serves a device that cannot be reset";
        var bar = client.GetRegionInfo(VfioPciRegion.Bar5);
        if (bar.Size is 0 or > GuestLayout.BarStride) return $"serves a device whose BAR 5 has {bar.Size} bytes, not 1 to {GuestLayout.BarStride}";
        if (info.IrqCount <= VfioPciIrq.Msi || client.GetIrqInfo(VfioPciIrq.Msi).Count == 0) return "serves a device without MSI";
        return null;
    }
}
