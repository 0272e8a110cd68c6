
namespace VmShunt.EndToEnd.Packaging;

/// <summary>A fact that needs systemd and a machine on which root may run it in namespaces. Most containers forbid that.</summary>
public sealed class FactIfSystemdRunsAttribute : FactAttribute
{
    public FactIfSystemdRunsAttribute()
    {
        if (!File.Exists("/lib/systemd/systemd")) Skip = "systemd is not installed";
        else if (!File.Exists(Path.Combine(Repository.Root, "artifacts", "native", "vmshunt-host"))) Skip = "there are no native binaries; dotnet build packaging -c Release makes them";
        else if (!IsAllowed()) Skip = "root may not create namespaces and cgroups here";
    }

    // Root of the machine: in a user namespace, /proc/self/uid_map has another line.
    private static bool IsAllowed()
    {
        if (!Environment.IsPrivilegedProcess || !File.ReadAllText("/proc/self/uid_map").Contains("4294967295", StringComparison.Ordinal)) return false;
        if (Installed.Find("unshare") is not { } unshare || Directory.GetDirectories("/sys/fs/cgroup").Length == 0) return false;
        using var process = System.Diagnostics.Process.Start(unshare, ["--mount", "--pid", "--fork", "--net", "--cgroup", "mount", "-t", "tmpfs", "none", "/mnt"]);
        return process.WaitForExit(Until.Patience) && process.ExitCode == 0;
    }
}

/// <summary>The units of the package under a running systemd, in namespaces of its own: order, readiness, filters, reload, restart, stop.</summary>
public sealed class SystemdTests
{
    [FactIfSystemdRuns]
    public async Task Systemd_starts_reloads_restarts_and_stops_the_services_and_its_filters_let_them_serve_a_guest()
    {
        var trial = await Programs.RunAsync(Path.Combine(Repository.Root, "packaging", "systemd", "trial.sh"));
        var lines = string.Join('\n', trial.Output);
        Assert.True(trial.ExitCode == 0, $"{lines}\n{trial.ErrorText}");
        Assert.All(trial.Output, static line => Assert.StartsWith("ok: ", line, StringComparison.Ordinal));
        Assert.InRange(trial.Output.Count, 20, int.MaxValue);
    }
}
