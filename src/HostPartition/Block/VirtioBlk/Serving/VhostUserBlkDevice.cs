using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;
using VmShunt.Ring.Notification;
using VmShunt.Ring.Serving;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;
using VmShunt.Ring.Virtqueue;

namespace VmShunt.BlockBackend.VirtioBlk.Serving;

/// <summary>The virtio-blk device of a vhost-user session. Each ring has a dedicated thread, or belongs to a poll group.</summary>
internal sealed class VhostUserBlkDevice(
    VirtioBlkDevice device, int queues, int maxQueueSize, WaitPolicy policy, PollGroups groups, ILogger log, bool isMigratable = true, RingSession? guarded = null) : IVhostUserDevice, IDisposable
{
    private const VhostUserProtocolFeatures ForTransition = VhostUserProtocolFeatures.Status | VhostUserProtocolFeatures.ResetDevice;

    // The driver's next DRIVER_OK is a new driver's: its device was reset, or it is the session's first.
    private bool _wasReset, _isNotFirst, _isUnfit = true;

    // Once per session: a guest may start again as often as it likes.
    private bool _hasWarned;

    // Whether it has entered the disk's lease.
    private bool _isUser;

    public ulong Features => (ulong)device.Features;

    public int QueueCount => queues;

    public int MaxQueueSize => maxQueueSize;

    public string MaxQueueSizeSetting => $"--queue-size ({nameof(BlockServerOptions)}.{nameof(BlockServerOptions.QueueSize)})";

    public bool IsMigratable => isMigratable;

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

    public void Reset() => device.Reset();

    public void ProtocolFeaturesChosen(VhostUserProtocolFeatures features) => _isUnfit = (features & ForTransition) != ForTransition;

    public void DriverReady(bool bringsRecord)
    {
        var starts = _wasReset || (!_isNotFirst && !bringsRecord);
        (_wasReset, _isNotFirst) = (false, true);
        guarded?.Member?.DriverReady(continues: !starts);
    }

    public void DriverReset()
    {
        _wasReset = true;
        guarded?.Member?.Reset();
    }

    public void PassOn() => Leave(passesOn: true);

    /// <summary>The session has closed.</summary>
    public void Dispose() => Leave(passesOn: false);

    public IRunningVring Start(VringSetup setup)
    {
        if (!_isUser)
        {
            _isUser = true;
            device.Disk.Lease.Enter();
        }
        if (_isUnfit) guarded?.Member?.IsUnfit("its vhost-user front-end lacks STATUS or RESET_DEVICE, which QEMU has from 10.0 on");
        if (device.FindTooFewSegments(setup.Size) is { } fitting && !_hasWarned)
        {
            _hasWarned = true;
            log.RequestsDoNotFit(setup.Index, setup.Size, fitting, device.MaxSegments);
        }
        return setup.IsPacked ? Start(setup.CreatePackedQueue(), setup) : Start(setup.CreateSplitQueue(), setup);
    }

    private void Leave(bool passesOn)
    {
        if (!_isUser) return;
        _isUser = false;
        device.Disk.Lease.Leave(passesOn);
    }

    private IRunningVring Start<TQueue>(TQueue queue, VringSetup setup) where TQueue : struct, IDeviceQueue =>
        setup.IsLogged ? Serve(setup.CreateLogged(queue), setup) : Serve(queue, setup);

    private IRunningVring Serve<TQueue>(TQueue queue, VringSetup setup) where TQueue : struct, IDeviceQueue =>
        HandlerOf(queue, setup).Start(policy, device.Disk.NeverBlocks ? groups : null, fault => log.RingBroken(setup.Index, fault));

    private VringHandler HandlerOf<TQueue>(TQueue queue, VringSetup setup) where TQueue : struct, IDeviceQueue =>
        guarded is null ? new VirtqueueHandler<TQueue>(queue, setup, device, log) : new GuardedVirtqueueHandler<TQueue>(queue, setup, device, log, guarded);
}
