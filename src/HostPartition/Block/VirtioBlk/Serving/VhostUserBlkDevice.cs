using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Notification;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockBackend.VirtioBlk.Serving;

/// <summary>The virtio-blk device of a vhost-user session. Each ring has a dedicated thread, or belongs to a poll group.</summary>
internal sealed class VhostUserBlkDevice(VirtioBlkDevice device, int queues, int maxQueueSize, WaitPolicy policy, PollGroups groups, ILogger log) : IVhostUserDevice
{
    public ulong Features => (ulong)device.Features;

    public int QueueCount => queues;

    public int MaxQueueSize => maxQueueSize;

    public bool TryReadConfig(int offset, Span<byte> target)
    {
        device.ReadConfig(offset, target);
        return true;
    }

    public bool TryWriteConfig(int offset, ReadOnlySpan<byte> source)
    {
        if (offset != ShuntAgreement.DeclaredOffset || source.Length != ShuntDeclaration.Bytes) return device.TryWriteConfig(offset, source);
        var declared = MemoryMarshal.Read<ShuntDeclaration>(source);
        var agreed = device.TryAgree(declared);
        if (agreed) log.ShuntAgreed(RequestTypeList.Format(declared.Primary), declared.Criterion.ToString().ToLowerInvariant());
        else log.ShuntRefused(RequestTypeList.Format(declared.Primary), RequestTypeList.Format(device.Implemented));
        return agreed;
    }

    public void FeaturesChosen(ulong features) => device.Negotiate((VirtioBlkFeatures)features);

    public IRunningVring Start(VringSetup setup)
    {
        var features = (VirtioBlkFeatures)setup.Features;
        var indirect = features.HasFlag(VirtioBlkFeatures.IndirectDescriptors);
        var eventIndex = features.HasFlag(VirtioBlkFeatures.EventIndex);
        if (features.HasFlag(VirtioBlkFeatures.PackedRing))
        {
            var areas = new PackedAreas(setup.Descriptors, setup.Driver, setup.Device);
            var queue = new PackedDeviceQueue(setup.Memory, areas, setup.Size, setup.Position, indirect, eventIndex, setup.Inflight);
            return new VringWorker<PackedDeviceQueue>(queue, setup, device, policy, groups, log);
        }
        else
        {
            var areas = new SplitAreas(setup.Descriptors, setup.Driver, setup.Device);
            var queue = new SplitDeviceQueue(setup.Memory, areas, setup.Size, (ushort)setup.Position, indirect, eventIndex, setup.Inflight);
            return new VringWorker<SplitDeviceQueue>(queue, setup, device, policy, groups, log);
        }
    }
}
