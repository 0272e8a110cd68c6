using System.Runtime.InteropServices;
using VmShunt.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Hypervisor;

/// <summary>
/// Looks at start whether VM-H serves a device as it must be, and keeps that connection: its end is VM-H's end.
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
    /// <param name="patience">How long VM-H may take over an answer.</param>
    /// <param name="wait">How long it may take to come to be there.</param>
    /// <exception cref="IOException">VM-H is not there or serves something else; the message says what to do.</exception>
    internal static DeviceSupervisor Start(DeviceSpec spec, TimeSpan patience, TimeSpan wait)
    {
        VfioUserClient client;
        try
        {
            client = VfioUserClient.Connect(spec.RegisterSocket, patience, wait);
        }
        catch (IOException e)
        {
            throw new IOException($"device {spec.Name}: {e.Message}; start vmshunt-host with --vfio-user {spec.RegisterSocket} first", e);
        }
        try
        {
            // VM-H listens for the bus before it does for registers: who waited for these has waited for both.
            if (spec.BusSocket is { } bus && !File.Exists(bus))
                throw new IOException($"device {spec.Name}: nothing serves the bus at {bus}; start vmshunt-host with --vhost-user {bus} first");
            if (Unfit(client) is { } why) throw new IOException($"device {spec.Name}: {spec.RegisterSocket} {why}; give the socket of a vmshunt-host");
            return new DeviceSupervisor(spec, client);
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    public void Dispose() => _client.Dispose();

    private static string? Unfit(VfioUserClient client)
    {
        var info = client.GetInfo();
        if (!info.IsPci || info.RegionCount <= VfioPciRegion.Configuration) return "serves no PCI device";
        if (!info.CanReset) return "serves a device that cannot be reset";
        var bar = client.GetRegionInfo(VfioPciRegion.Bar5);
        if (bar.Size is 0 or > GuestLayout.BarStride) return $"serves a device whose BAR 5 has {bar.Size} bytes, not 1 to {GuestLayout.BarStride}";
        if (info.IrqCount <= VfioPciIrq.Msi || client.GetIrqInfo(VfioPciIrq.Msi).Count == 0) return "serves a device without message-signalled interrupts";
        return null;
    }
}
