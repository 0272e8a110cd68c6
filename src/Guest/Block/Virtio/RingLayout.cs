namespace VmShunt.BlockDriver;

/// <summary>The layout of virtqueues.</summary>
public enum RingLayout
{
    /// <summary>Packed if the back-end offers it, otherwise split.</summary>
    Auto,

    /// <summary>Split (virtio 1.3 §2.7).</summary>
    Split,

    /// <summary>Packed (virtio 1.3 §2.8); fails if the back-end does not offer it.</summary>
    Packed,
}
