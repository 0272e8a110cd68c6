using System.Text.RegularExpressions;
using VmShunt.EndToEnd.Processes;
using VmShunt.EndToEnd.Qemu;
using VmShunt.Perf.Disks;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Packaging;

/// <summary>What a user installs: the Debian package, on a machine without .NET.</summary>
public sealed partial class DebianPackageTests(DebianPackage package) : IClassFixture<DebianPackage>
{
    private const int DiskBytes = 8 << 20;

    [FactIfPackaged]
    public async Task VM_H_serves_a_disk_to_QEMU_and_to_a_guest_where_there_is_no_NET()
    {
        Assert.DoesNotContain(Directory.EnumerateFiles(package[""], "*", SearchOption.AllDirectories), static file => file.EndsWith(".dll", StringComparison.Ordinal));
        var disk = package["disk.img"];
        await using (var file = File.Create(disk))
        {
            file.Write(BootSector.Make());
            file.SetLength(DiskBytes);
        }
        await using var host = await Programs.ReadyAsync(package.Start("vmshunt-host", "--disk", "/disk.img", "--vhost-user", "/ring.sock", "--vfio-user", "/trap.sock"));
        // Nothing is lost against the JIT: reads are copied from the page cache.
        await Until.TrueAsync(() => host.LastErrors.Any(static line => line.Contains("disk /disk.img: engine mmap, guarded copy", StringComparison.Ordinal)), "VM-H logs its engine");

        await using (var qemu = QemuGuest.Start(QemuGuest.Disk(package["ring.sock"], packed: true)))
        {
            await qemu.WaitForAsync(BootSector.Message);
            await qemu.Ended.WaitAsync(Until.Patience);
            Assert.Equal(BootSector.ExitCode, qemu.ExitCode);
        }

        await using (var hypervisor = await Programs.ReadyAsync(package.Start(
            "vmshunt-hypervisor", "--socket", "/hypervisor.sock", "--device", "disk0,vhost-user=/ring.sock,vfio-user=/trap.sock")))
        {
            foreach (var mode in new[] { "emulating", "enlightened" })
            {
                var hash = await DebianPackage.SucceedAsync("vmshunt-guest", "--hypervisor", package["hypervisor.sock"], "--memory", "32M", "--mode", mode, "hash");
                Assert.Contains(hash, static line => line.Contains("sha256", StringComparison.OrdinalIgnoreCase));
                Assert.Contains(await FileHash.OfAsync(disk, default), string.Join('\n', hash), StringComparison.Ordinal);
            }
        }
        ProcessTable.Send(host.Id, Signal.Terminate);
        Assert.Equal(0, (await Programs.WaitForEndAsync(host)).ExitCode);
    }

    [FactIfPackaged]
    public async Task Its_version_is_the_programs_and_it_depends_on_the_C_library_and_OpenSSL_only()
    {
        var control = await DebianPackage.SucceedAsync(Installed.Require("dpkg-deb"), "-f", DebianPackage.Find()!);
        var version = Assert.Single(control, static line => line.StartsWith("Version: ", StringComparison.Ordinal))["Version: ".Length..];
        Assert.Contains(control, static line => Dependencies().IsMatch(line));
        foreach (var program in new[] { "vmshunt-host", "vmshunt-hypervisor" })
            Assert.StartsWith(version, Assert.Single(await package.RunAsync(program, "--version")), StringComparison.Ordinal);
    }

    [FactIfPackaged]
    public async Task Its_manual_pages_have_every_option_with_its_description()
    {
        foreach (var program in new[] { "vmshunt-host", "vmshunt-hypervisor" })
        {
            var page = ManualText.Read(package[$"usr/share/man/man1/{program}.1.gz"]);
            var options = await OptionsAsync(program);
            Assert.InRange(options.Count, 5, int.MaxValue);
            Assert.Equal([], options.Where(option => !page.Contains($".TP\n.B {option.Name}\n{option.Text}\n", StringComparison.Ordinal)));
            Assert.DoesNotMatch("@[A-Z]+@", page);
        }
    }

    [FactIfPackaged]
    public async Task Its_systemd_units_start_installed_programs_with_options_that_exist()
    {
        var units = Directory.GetFiles(package["usr/lib/systemd/system"]);
        Assert.Equal(2, units.Length);
        foreach (var unit in units)
        {
            var command = Assert.Single(File.ReadLines(unit), static line => line.StartsWith("ExecStart=", StringComparison.Ordinal))["ExecStart=".Length..].Split(' ');
            Assert.True(File.Exists(package[command[0][1..]]), $"{unit} starts {command[0]}");
            var names = (await OptionsAsync(Path.GetFileName(command[0]))).SelectMany(static option => option.Name.Split(' ', ',')).ToHashSet();
            Assert.Equal([], command.Where(static word => word.StartsWith("--", StringComparison.Ordinal)).Where(word => !names.Contains(word)));
        }
    }

    [FactIfPackaged]
    public async Task Bash_completes_the_options_of_its_programs()
    {
        foreach (var (line, expected) in new[]
        {
            ("vmshunt-host --vh", "--vhost-user"),
            ("vmshunt-host --engine u", "uring"),
            ("vmshunt-hypervisor --dev", "--device"),
        })
        {
            var completion = package[$"usr/share/bash-completion/completions/{line.Split(' ')[0]}"];
            // What bash does at Tab: it sets these variables, calls the function, and reads COMPREPLY.
            var script = $"PATH='{package["usr/bin"]}':$PATH; . '{completion}'; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=($COMP_LINE); "
                + "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _vmshunt_program; printf '%s\\n' \"${COMPREPLY[@]}\"";
            Assert.Equal([expected], await DebianPackage.SucceedAsync(Installed.Require("bash"), "-c", script));
        }
    }

    private async Task<IReadOnlyList<(string Name, string Text)>> OptionsAsync(string program) =>
        ManualText.Entries(await package.RunAsync(program, "--help"), "Options");

    [GeneratedRegex(@"^Depends: libc6 \(>= 2\.\d+\), libssl3t64 \| libssl3$")]
    private static partial Regex Dependencies();
}
