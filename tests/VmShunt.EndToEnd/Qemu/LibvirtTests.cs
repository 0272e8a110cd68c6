using System.Text.RegularExpressions;
using VmShunt.EndToEnd.Processes;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>libvirt starts, suspends, resets and ends a Linux guest with the domain that docs/using-with-qemu.md shows.</summary>
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed partial class LibvirtTests : IDisposable
{
    private const string Unprivileged = "65534";

    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [FactIfInstalled("virsh")]
    public async Task Libvirt_runs_a_guest_with_the_documented_domain()
    {
        Assert.Null(LinuxGuest.Missing());
        string disk = _folder["disk.img"], socket = _folder["ring.sock"], serial = _folder["serial.log"], domain = _folder["domain.xml"];
        using (var image = File.Create(disk)) image.SetLength(64 << 20);
        await using var host = await Programs.StartReadyAsync("vmshunt-host", "--disk", disk, "--vhost-user", socket, "--queues", "4");
        foreach (var file in new[] { GuestKernel.Image!, Initramfs.File }) File.Copy(file, _folder[Path.GetFileName(file)]);
        await File.WriteAllTextAsync(domain, Domain(socket, serial));
        Share();

        // The driver runs inside of virsh, which ends the guest's supervision when it ends. As root it would want a user of its own.
        string[] unprivileged = Environment.IsPrivilegedProcess ? ["setpriv", $"--reuid={Unprivileged}", $"--regid={Unprivileged}", "--clear-groups"] : [];
        string[] command = [.. unprivileged, "env", $"XDG_RUNTIME_DIR={_folder["run"]}", $"HOME={_folder["run"]}", "virsh", "-c", $"qemu:///embed?root={_folder["libvirt"]}"];
        await using var virsh = Programs.Start(Installed.Require(command[0]), command[1..]);
        await SayAsync(virsh, $"define {domain}", "defined from");
        await SayAsync(virsh, "start vmshunt", "started");
        await Until.TrueAsync(() => Serial().Contains(QemuGuest.Ready, StringComparison.Ordinal), "the guest boots");
        Assert.Contains("[vda] 131072 512-byte logical blocks", Serial(), StringComparison.Ordinal);
        await SayAsync(virsh, "suspend vmshunt", "suspended");
        await SayAsync(virsh, "resume vmshunt", "resumed");
        await SayAsync(virsh, "reset vmshunt", "was reset");
        await Until.TrueAsync(() => Regex.Count(Serial(), QemuGuest.Ready) == 2, "the guest boots again");
        await SayAsync(virsh, "destroy vmshunt", "destroyed");
        await virsh.SendAsync("quit");
        await Programs.WaitForEndAsync(virsh);
        Assert.DoesNotContain(host.LastErrors, static line => line.Contains("warn:", StringComparison.Ordinal) || line.Contains("fail:", StringComparison.Ordinal));

        string Serial() => File.Exists(serial) ? File.ReadAllText(serial) : "";
    }

    private static async Task SayAsync(ChildProcess virsh, string command, string answer)
    {
        await virsh.SendAsync(command);
        await Programs.WaitForLineAsync(virsh, answer);
    }

    /// <summary>The documented domain, on this machine: without KVM, with a kernel and a serial line.</summary>
    private string Domain(string socket, string serial)
    {
        var text = DocumentedDomain().Match(File.ReadAllText(Path.Combine(Repository.Root, "docs", "using-with-qemu.md"))).Groups[1].Value;
        Assert.Contains("vhostuser", text, StringComparison.Ordinal);
        return text
            .Replace("type='kvm'", "type='qemu'", StringComparison.Ordinal)
            .Replace("/run/vmshunt/ring.sock", socket, StringComparison.Ordinal)
            .Replace(
                "  ...\n",
                $"  <name>vmshunt</name><memory unit='MiB'>192</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type>"
                + $"<kernel>{_folder[Path.GetFileName(GuestKernel.Image!)]}</kernel><initrd>{_folder[Path.GetFileName(Initramfs.File)]}</initrd><cmdline>console=ttyS0</cmdline></os>\n",
                StringComparison.Ordinal)
            .Replace("  </devices>", $"    <emulator>{Installed.Require("qemu-system-x86_64")}</emulator><serial type='file'><source path='{serial}'/></serial>\n  </devices>", StringComparison.Ordinal);
    }

    private void Share()
    {
        const UnixFileMode all = (UnixFileMode)0x1ff;
        foreach (var folder in new[] { "run", "libvirt" }) Directory.CreateDirectory(_folder[folder]);
        File.SetUnixFileMode(_folder.Path, all);
        foreach (var entry in Directory.EnumerateFileSystemEntries(_folder.Path)) File.SetUnixFileMode(entry, all);
    }

    [GeneratedRegex("```xml\n(<domain.*?)```", RegexOptions.Singleline)]
    private static partial Regex DocumentedDomain();
}
