using VmShunt.EndToEnd.Processes;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>A guest under verified load migrates, and loses nothing.</summary>
public sealed class MigrationTests
{
    private const int Migrations = 3;

    [LinuxGuestTheory]
    [QemuData(QemuDataAttribute.Machine)]
    [QemuData(QemuDataAttribute.Sid)]
    public async Task A_guest_under_load_migrates(string qemu)
    {
        await using var machine = await MigratingMachine.BootAsync(QemuProgram.Of(qemu));
        foreach (var disk in machine.Disks) await disk.StartLoadAsync();
        foreach (var disk in machine.Disks) await disk.ProgressAsync("the start of the load");
        for (var i = 0; i < LongForm.Choose(Migrations, 20); i++)
        {
            await machine.MigrateAsync();
            foreach (var disk in machine.Disks) await disk.ProgressAsync($"migration {i}");
        }
        foreach (var disk in machine.Disks) await disk.AssertLoadWellAsync();
    }
}
