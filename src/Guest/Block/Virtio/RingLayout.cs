namespace VmShunt.BlockDriver.Virtio;

/// <summary>The layout of virtqueues.</summary>
public enum RingLayout
{
    /// <summary>Packed where the back-end offers it.</summary>
    Auto,

    /// <summary>Split (virtio 1.3 §2.7).</summary>
    Split,

    /// <summary>Packed (virtio 1.3 §2.8), or not at all.</summary>
    Packed,
}
