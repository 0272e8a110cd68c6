namespace VmShunt.Tests.Architecture;

/// <summary>The rank of each folder of src: it uses folders of lower rank only. A new folder gets its line here.</summary>
internal static class Ranks
{
    private static readonly string[][] s_floors =
    [
        // What every program does at its start and its end.
        ["src/Terminal"],
        ["src/Sandbox"],
        // Ring: the ground floor.
        ["src/Ring/Interop"],
        ["src/Ring/Memory"],
        ["src/Ring/Files", "src/Ring/Virtqueue", "src/Ring/Notification"],
        ["src/Ring/VirtioBlk"],
        ["src/Ring/VhostUser"],
        ["src/Ring/Serving"],
        // Trap: the first floor.
        ["src/Trap"],
        ["src/Trap/VmExit", "src/Trap/Ahci"],
        ["src/Trap/VfioUser"],
        // VM-H: the block back-end over the ring alone, then AHCI, then the program.
        ["src/HostPartition/Block/Contract", "src/HostPartition/Block/Log"],
        ["src/HostPartition/Block/Disk", "src/HostPartition/Block/Transition"],
        ["src/HostPartition/Block/Disk/Nbd", "src/HostPartition/Block/Own", "src/HostPartition/Block/VirtioBlk", "src/HostPartition/Ahci/Controller"],
        ["src/HostPartition/Block/VirtioBlk/Serving", "src/HostPartition/Ahci/VfioUser"],
        ["src/HostPartition/Block"],
        ["src/HostPartition/Ahci"],
        ["src/HostPartition/Server"],
        // The hypervisor.
        ["src/Hypervisor"],
        // VM-C: drivers over the ring alone, then firmware, then the kernel.
        ["src/Guest/Block/Memory"],
        ["src/Guest/Block/Requests"],
        ["src/Guest/Block/Virtio"],
        ["src/Guest/Block"],
        ["src/Guest/Firmware/Machine", "src/Guest/Firmware/Partitions"],
        ["src/Guest/Firmware/Ahci"],
        ["src/Guest/Firmware/Boot"],
        ["src/Guest/Kernel/Machine", "src/Guest/Kernel/Requests"],
        ["src/Guest/Kernel/Crash"],
        ["src/Guest/Kernel/Emulating"],
        ["src/Guest/Kernel/Shunt/Modes", "src/Guest/Kernel/Shunt/Policies"],
        ["src/Guest/Kernel/Enlightened"],
        ["src/Guest/Kernel/Shunt"],
        ["src/Guest/Kernel/Shunt/AtRegisters"],
        ["src/Guest/Kernel/Mode"],
        ["src/Guest/Kernel/Devices"],
        ["src/Guest/Kernel/Observing", "src/Guest/Kernel/Workloads"],
        ["src/Guest/Kernel"],
        ["src/Guest/Kernel/Commands"],
        ["src/Guest/Kernel/Commands/Stacks", "src/Guest/Kernel/Commands/Shunt", "src/Guest/Kernel/Commands/Crash", "src/Guest/Kernel/Commands/Measure"],
        ["src/Guest/Kernel/Commands/Disk"],
        ["src/Guest/Kernel/Commands/Shell"],
        ["src/Guest/Loader"],
        // The one place that references a guest and a host partition.
        ["src/PhysicalMachine"],
        // One command over all programs.
        ["src/Tool"],
    ];

    /// <summary>Folder to rank; the ground floor is 0.</summary>
    internal static IReadOnlyDictionary<string, int> Of { get; } =
        s_floors.SelectMany(static (floor, rank) => floor.Select(folder => (folder, rank))).ToDictionary(static pair => pair.folder, static pair => pair.rank);
}
