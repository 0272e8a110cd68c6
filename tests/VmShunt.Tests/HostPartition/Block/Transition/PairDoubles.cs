using VmShunt.BlockBackend.Transition;

namespace VmShunt.Tests.HostPartition.Block.Transition;

/// <summary>A trap path without a device.</summary>
internal sealed class FakeTrap : ITrapPath
{
    public TrapGate Gate { get; } = new();

    /// <summary>Whether its disk is present.</summary>
    internal bool HasDisk { get; private set; } = true;

    /// <summary>Whether commands are in flight, so that an unplug takes time.</summary>
    internal bool IsBusy { get; set; }

    /// <summary>How often the disk went or came.</summary>
    internal int Changes { get; private set; }

    public bool Unplug()
    {
        if (HasDisk && !IsBusy) Set(false);
        return !HasDisk;
    }

    public void Plug() => Set(true);

    /// <summary>The commands in flight complete.</summary>
    internal void Finish(GuestTransition transition)
    {
        IsBusy = false;
        Set(false);
        transition.TrapDiskGone();
    }

    /// <summary>A driver with interrupts reads.</summary>
    internal void Read(long bytes)
    {
        Gate.IsInterruptDriven = true;
        Gate.CountRequest();
        Gate.CountRead(bytes);
    }

    private void Set(bool hasDisk)
    {
        if (HasDisk != hasDisk) Changes++;
        HasDisk = hasDisk;
    }
}

/// <summary>Rings without a driver.</summary>
internal sealed class FakeRing : IRingPath
{
    public RingGate Gate { get; } = new();

    public long Requests { get; set; }

    /// <summary>Whether a chain was published after the mark.</summary>
    internal bool HasNew { get; set; }

    /// <summary>Whether its outstanding requests are complete.</summary>
    internal bool IsDrained { get; set; } = true;

    internal int Marks { get; private set; }

    public void Mark()
    {
        HasNew = false;
        Marks++;
    }

    public bool HasPublished() => HasNew;

    public void Wake()
    {
    }

    public bool IsQuiet(int word) => IsDrained && Gate.Word == word;
}
