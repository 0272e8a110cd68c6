using VmShunt.Guest.Firmware.Boot;

namespace VmShunt.Guest.Firmware.Partitions;

/// <summary>The GPT partition types that VmShunt uses.</summary>
public static class PartitionTypes
{
    /// <summary>A VmShunt boot partition: a <see cref="BootRecord"/> in its first sector, followed by the OS image.</summary>
    public static Guid Boot { get; } = new("5B6C9D0E-3A41-4F27-9E8B-71C04D2A86F3");

    /// <summary>A VmShunt dump partition: a crash dump, or nothing.</summary>
    public static Guid Dump { get; } = new("C83E1F56-92D7-4B0A-A5E4-0D7F6B1938CE");

    /// <summary>Linux file system data.</summary>
    public static Guid LinuxData { get; } = new("0FC63DAF-8483-4772-8E79-3D69D8477DE4");
}
