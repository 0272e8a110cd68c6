namespace VmShunt.Ring.Serving;

/// <summary>The device id (virtio 1.3 §5). vhost-user does not transmit it; the front-end's device has the same. Other ids may be cast.</summary>
public enum VirtioDeviceType
{
    /// <summary>Network card (§5.1).</summary>
    Network = 1,

    /// <summary>Block device (§5.2).</summary>
    Block = 2,

    /// <summary>Console (§5.3).</summary>
    Console = 3,

    /// <summary>Entropy source (§5.4).</summary>
    Entropy = 4,

    /// <summary>Memory balloon (§5.5).</summary>
    MemoryBalloon = 5,

    /// <summary>SCSI host (§5.6).</summary>
    ScsiHost = 8,

    /// <summary>GPU (§5.7).</summary>
    Gpu = 16,

    /// <summary>Input device (§5.8).</summary>
    Input = 18,

    /// <summary>Socket (§5.10).</summary>
    Socket = 19,

    /// <summary>Crypto device (§5.9).</summary>
    Crypto = 20,

    /// <summary>IOMMU (§5.13).</summary>
    Iommu = 23,

    /// <summary>Memory device (§5.15).</summary>
    Memory = 24,

    /// <summary>Sound card (§5.14).</summary>
    Sound = 25,

    /// <summary>File system (§5.11).</summary>
    FileSystem = 26,

    /// <summary>Persistent memory (§5.19).</summary>
    PersistentMemory = 27,

    /// <summary>RPMB (§5.12).</summary>
    Rpmb = 28,

    /// <summary>SCMI device (§5.17).</summary>
    Scmi = 32,

    /// <summary>I2C adapter (§5.16).</summary>
    I2cAdapter = 34,

    /// <summary>GPIO controller (§5.18).</summary>
    Gpio = 41,
}
