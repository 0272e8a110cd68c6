using System.Collections.Concurrent;
using System.Diagnostics;
using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Hypervisor;

/// <summary>The real executable and its output; killed on dispose if it still runs.</summary>
internal sealed class RunningHypervisor : IDisposable
{
    private readonly Process _process;
    private readonly string[] _arguments;
    private readonly ConcurrentQueue<string> _output = new(), _errors = new();

    internal RunningHypervisor(params string[] arguments)
    {
        _arguments = arguments;
        var start = new ProcessStartInfo(System.IO.Path.Combine(AppContext.BaseDirectory, "vmshunt-hypervisor"), arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        _process = new Process { StartInfo = start };
        _process.OutputDataReceived += (_, e) => Keep(_output, e.Data);
        _process.ErrorDataReceived += (_, e) => Keep(_errors, e.Data);
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>Whether to remove, on dispose, the socket that a killed hypervisor leaves.</summary>
    internal bool RemovesSocket { get; set; } = true;

    internal string Output => string.Join('\n', _output);

    internal string Errors => string.Join('\n', _errors);

    /// <summary>The number of its open descriptors.</summary>
    internal int DescriptorCount => Directory.GetFileSystemEntries($"/proc/{_process.Id}/fd").Length;

    internal int ThreadCount => Directory.GetFileSystemEntries($"/proc/{_process.Id}/task").Length;

    /// <summary>Starts it with one device and waits until it is ready.</summary>
    internal static RunningHypervisor Ready(string socket, string device, params string[] more)
    {
        var hypervisor = new RunningHypervisor(["--socket", socket, "--device", device, .. more]);
        Eventually.True(() => hypervisor.Output.Contains($"ready socket={socket}", StringComparison.Ordinal) || hypervisor._process.HasExited, "the hypervisor is ready");
        Assert.False(hypervisor._process.HasExited, hypervisor.Errors);
        return hypervisor;
    }

    internal static string NewSocket() => System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"vmshunt-test-{Guid.NewGuid():N}");

    /// <summary>Waits until it exits.</summary>
    /// <returns>The exit code.</returns>
    internal int WaitForExit()
    {
        Assert.True(_process.WaitForExit(60_000), Errors);
        _process.WaitForExit();
        return _process.ExitCode;
    }

    internal void Terminate() => Send("TERM");

    /// <summary>Sends it a signal.</summary>
    internal void Send(string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", _process.Id.ToString()]);
        kill.WaitForExit();
    }

    internal static PartitionStatistics Statistics(string socket, int partition)
    {
        using var observer = HypervisorObserver.Connect(socket);
        return observer.Query().Partitions.Single(p => p.Id == partition);
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        if (RemovesSocket && Array.IndexOf(_arguments, "--socket") is >= 0 and var at) File.Delete(_arguments[at + 1]);
    }

    private static void Keep(ConcurrentQueue<string> lines, string? line)
    {
        if (line is not null) lines.Enqueue(line);
    }
}
