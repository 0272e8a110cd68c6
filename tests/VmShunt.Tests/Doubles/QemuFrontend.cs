using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Tests.Hostile;

namespace VmShunt.Tests.Doubles;

/// <summary>QEMU's messages to a vhost-user-blk back-end, in its order, through a scripted front-end.</summary>
internal sealed class QemuFrontend(ScriptedFrontend frontend)
{
    private const ulong ProtocolFeatures = 1UL << 30;
    private const uint Queues = ServedDisk.Queues;
    private const ulong Acknowledge = 1, Driver = 2, DriverOk = 4, FeaturesOk = 8;

    internal const VhostUserProtocolFeatures Protocol = VhostUserProtocolFeatures.MultiQueue | VhostUserProtocolFeatures.ReplyAck
        | VhostUserProtocolFeatures.BackendRequests | VhostUserProtocolFeatures.Config | VhostUserProtocolFeatures.InflightSharedMemory
        | VhostUserProtocolFeatures.ResetDevice | VhostUserProtocolFeatures.ConfigureMemSlots | VhostUserProtocolFeatures.Status;

    /// <summary>The features that the test's ring supports.</summary>
    internal const VirtioBlkFeatures Firmware = VirtioBlkFeatures.Version1, Linux = Firmware | VirtioBlkFeatures.Flush | VirtioBlkFeatures.IndirectDescriptors
        | VirtioBlkFeatures.BlockSize | VirtioBlkFeatures.MultiQueue | VirtioBlkFeatures.ConfigWriteCache;

    internal VirtioBlkFeatures Offered { get; private set; }

    /// <summary>Connects as QEMU does when it realizes the device, and at each reconnect.</summary>
    internal void Realize(UnixConnection socket, bool isReconnect)
    {
        frontend.Connect(socket);
        Offered = (VirtioBlkFeatures)frontend.Query(VhostUserRequest.GetFeatures);
        Assert.Equal(Protocol, (VhostUserProtocolFeatures)frontend.Query(VhostUserRequest.GetProtocolFeatures) & Protocol);
        frontend.Send(VhostUserRequest.SetProtocolFeatures, (ulong)Protocol);
        Assert.Equal(Queues, frontend.Query(VhostUserRequest.GetQueueNum));
        frontend.Query(VhostUserRequest.GetMaxMemSlots);
        var (mine, its) = UnixConnection.CreatePair();
        using (its) frontend.Send(VhostUserRequest.SetBackendReqFd, [], its.Handle);
        mine.Dispose();
        frontend.Send(VhostUserRequest.SetOwner, []);
        frontend.Query(VhostUserRequest.GetFeatures);
        for (var i = 0u; i < Queues; i++)
        {
            frontend.Send(VhostUserRequest.SetVringCall, (ulong)i, frontend.Call);
            frontend.Send(VhostUserRequest.SetVringErr, (ulong)i, frontend.Error);
        }
        if (!isReconnect) Assert.Equal(ServedDisk.Bytes / 512, MemoryMarshal.Read<long>(frontend.GetConfig(0, 57)));
    }

    /// <summary>Gets the record of chains in flight; with a smaller queue size than the ring's, as QEMU 10.0 requests it.</summary>
    internal InflightRecord GetInflight()
    {
        var wanted = new VhostUserInflight { QueueCount = (ushort)Queues, QueueSize = HandRing.Size / 2 };
        var inflight = MemoryMarshal.Read<VhostUserInflight>(frontend.Query(VhostUserRequest.GetInflightFd, MemoryMarshal.AsBytes(new ReadOnlySpan<VhostUserInflight>(in wanted))));
        return new InflightRecord(frontend.Connection.TakeDescriptor()!, inflight);
    }

    /// <summary>Starts the device and ring 0.</summary>
    internal void Start(VirtioBlkFeatures features, InflightRecord? record, uint? ringBase, bool sharesMemory, ulong status = Acknowledge | Driver | DriverOk | FeaturesOk)
    {
        frontend.Send(VhostUserRequest.SetFeatures, (ulong)(features & Offered) | ProtocolFeatures);
        frontend.Send(VhostUserRequest.SetStatus, frontend.Query(VhostUserRequest.GetStatus) | FeaturesOk);
        if (record is not null) frontend.Send(VhostUserRequest.SetInflightFd, record.Inflight, record.File);
        for (var i = 0u; i < Queues; i++) frontend.Send(VhostUserRequest.SetVringCall, (ulong)i, frontend.Call);
        frontend.Send(VhostUserRequest.SetFeatures, (ulong)(features & Offered) | ProtocolFeatures);
        if (sharesMemory) frontend.AddMemory(0, ScriptedFrontend.RamBytes);
        frontend.SendVringState(VhostUserRequest.SetVringNum, 0, HandRing.Size);
        if (ringBase is { } position) frontend.SendVringState(VhostUserRequest.SetVringBase, 0, position);
        frontend.SendVringAddress();
        frontend.SendVringKick();
        for (var i = 0u; i < Queues; i++) frontend.SendVringState(VhostUserRequest.SetVringEnable, i, 1);
        frontend.Send(VhostUserRequest.SetStatus, status);
    }

    /// <summary>Stops the device: for a guest's reset, for <c>stop</c>, and for a migration.</summary>
    /// <param name="isOld">As QEMU before 10.0, which resets the status first.</param>
    /// <returns>Where ring 0 stopped.</returns>
    internal uint Stop(bool isOld)
    {
        if (isOld) frontend.Send(VhostUserRequest.SetStatus, 0ul);
        for (var i = 0u; i < Queues; i++) frontend.SendVringState(VhostUserRequest.SetVringEnable, i, 0);
        var position = frontend.Stop().Value;
        if (!isOld) frontend.Send(VhostUserRequest.SetStatus, 0ul);
        return position;
    }

    /// <summary>The memory in which a back-end records chains in flight; the front-end keeps it over restarts.</summary>
    internal sealed record InflightRecord(SafeHandle File, VhostUserInflight Inflight) : IDisposable
    {
        public void Dispose() => File.Dispose();
    }
}
