namespace VmShunt.BlockBackend;

/// <summary>What becomes of the emulated disk of a guest that has both paths to one disk.</summary>
public enum TransitionMode
{
    /// <summary>It stays beside the ring.</summary>
    Never,

    /// <summary>It goes when the guest's driver starts on the ring, and comes back when that driver ends or the guest's kernel crashes.</summary>
    Auto,
}
