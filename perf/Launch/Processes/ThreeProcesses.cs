using System.Globalization;
using System.Text.Json.Serialization.Metadata;

namespace VmShunt.Perf.Launch;

/// <summary>
/// VM-H, the hypervisor and VM-C as running processes. A pending <see cref="AskAsync{T}"/> fails as soon as one of them
/// exits unexpectedly.
/// </summary>
internal sealed class ThreeProcesses : IAsyncDisposable
{
    // If the launcher is killed, the guest reads the end of its input and exits, and the others exit after it. The
    // hypervisor has no client while the guest restarts; VM-H loses its client only with the hypervisor.
    private const string HypervisorLinger = "10", HostLinger = "2";

    // All start at once; each waits for the socket of the process it connects to.
    private static readonly string s_wait = GuestConsole.Patience.TotalSeconds.ToString(CultureInfo.InvariantCulture);

    private readonly LaunchOptions _options;
    private readonly Func<string, ITrapCounter> _connectTrapCounter;
    private readonly string _hypervisorSocket;
    private readonly CancellationToken _cancel;

    private ThreeProcesses(LaunchOptions options, Func<string, ITrapCounter> connectTrapCounter, string hypervisorSocket, CancellationToken cancel)
    {
        _options = options;
        _connectTrapCounter = connectTrapCounter;
        _hypervisorSocket = hypervisorSocket;
        _cancel = cancel;
    }

    internal ChildProcess? Host { get; private set; }

    internal ChildProcess? Hypervisor { get; private set; }

    internal GuestConsole? Guest { get; private set; }

    internal ITrapCounter? Traps { get; private set; }

    /// <summary>The process that started last.</summary>
    internal ChildProcess? Newest => Running.LastOrDefault();

    private IEnumerable<ChildProcess> Running => new[] { Host, Hypervisor, Guest?.Process }.OfType<ChildProcess>();

    /// <summary>Creates the object; starts no process.</summary>
    internal static ThreeProcesses Prepare(
        LaunchOptions options, WorkFolder folder, Func<string, ITrapCounter> connectTrapCounter, CancellationToken cancel) =>
        new(options, connectTrapCounter, folder.Socket("hypervisor.sock"), cancel);

    /// <summary>Starts all three in parallel: VM-H on the disk, the hypervisor with that disk as its only device, and VM-C.</summary>
    /// <param name="disk">The disk that VM-H opens.</param>
    /// <param name="folder">Where the sockets are created.</param>
    /// <param name="mode">The mode that VM-C starts in.</param>
    internal async Task StartAsync(string disk, WorkFolder folder, string mode = "emulating")
    {
        StartServers(disk, folder);
        StartGuest(mode);
        await ReadyAsync(Host!);
        await ReadyAsync(Hypervisor!);
        Traps = _connectTrapCounter(_hypervisorSocket);
        await ReadyAsync(Guest!.Process);
    }

    /// <summary>Starts VM-C; returns when it has booted and its console is ready.</summary>
    /// <param name="mode">The mode that VM-C starts in.</param>
    internal async Task StartGuestAsync(string mode = "emulating")
    {
        StartGuest(mode);
        await ReadyAsync(Guest!.Process);
    }

    /// <summary>Waits for the guest to exit, as it does after a crash or the command quit.</summary>
    /// <exception cref="LaunchException">The guest does not exit, or its exit code is not 0.</exception>
    internal async Task GuestEndsAsync()
    {
        ChildProcess guest = Guest!.Process;
        await Task.WhenAny(guest.Ended, Task.Delay(GuestConsole.Patience, _cancel));
        _cancel.ThrowIfCancellationRequested();
        if (!guest.Ended.IsCompleted) throw new LaunchException($"{guest.Name} does not exit");
        if (guest.ExitCode != 0) throw new LaunchException($"{guest.Name} exited with code {guest.ExitCode} instead of 0");
        Guest = null;
        await guest.DisposeAsync();
    }

    /// <summary>Sends a command to the guest's console and watches the other two processes meanwhile.</summary>
    /// <param name="command">One line.</param>
    /// <param name="shape">The type of the answer.</param>
    /// <param name="work">How long the work itself should take.</param>
    /// <exception cref="LaunchException">The guest reported an error or timed out, or one of the three processes exited.</exception>
    internal async Task<T> AskAsync<T>(string command, JsonTypeInfo<T> shape, TimeSpan work = default)
    {
        Task<T> answer = Guest!.AskAsync(command, shape, work, _cancel);
        Task first = await Task.WhenAny(answer, Host!.Ended, Hypervisor!.Ended);
        // A complete answer counts even if a process exits right after it.
        if (answer.IsCompletedSuccessfully || (first == answer && !Guest.Process.Ended.IsCompleted)) return await answer;
        _cancel.ThrowIfCancellationRequested();
        // The guest's exit may be noticed first although another process exited earlier.
        IReadOnlyList<ChildProcess> exited = await FindExitedAsync();
        var culprit = first == Host.Ended ? Host : first == Hypervisor.Ended ? Hypervisor : exited is [var earliest, ..] ? earliest : null;
        if (culprit is null || culprit == Guest.Process) return await answer;
        throw new LaunchException($"{culprit.Name} exited while vmshunt-guest ran '{command}'");
    }

    /// <summary>
    /// The processes that exited unexpectedly, in the order of their exits: the first is where the failure began. Waits up
    /// to 500 ms, because an exit may be noticed later than its consequences.
    /// </summary>
    internal async Task<IReadOnlyList<ChildProcess>> FindExitedAsync()
    {
        await Task.WhenAny(Task.WhenAll(Running.Select(static child => child.Ended)), Task.Delay(TimeSpan.FromMilliseconds(500)));
        return [.. Running.Where(static child => child.Ended.IsCompleted).OrderBy(static child => child.ExitTime)];
    }

    /// <summary>Stops all of them, VM-C first, so that no process loses a peer that it needs.</summary>
    public async ValueTask DisposeAsync()
    {
        Traps?.Dispose();
        if (Guest is not null) await Guest.Process.DisposeAsync();
        if (Hypervisor is not null) await Hypervisor.DisposeAsync();
        if (Host is not null) await Host.DisposeAsync();
    }

    private void StartServers(string disk, WorkFolder folder)
    {
        string vhostUser = folder.Socket("vhost-user.sock"), vfioUser = folder.Socket("vfio-user.sock");
        List<string> arguments = ["--disk", disk, "--vhost-user", vhostUser, "--vfio-user", vfioUser, "--linger", HostLinger, .. _options.HostOptions];
        if (!_options.MayWrite) arguments.Add("--read-only");
        Host = Start("vmshunt-host", arguments);
        Hypervisor = Start("vmshunt-hypervisor",
        [
            "--socket", _hypervisorSocket, "--device", DeviceOf("disk0", vfioUser, vhostUser), "--linger", HypervisorLinger, "--wait", s_wait, .. _options.HypervisorOptions,
        ]);
    }

    /// <summary>The value of the hypervisor's <c>--device</c>; a comma in a path is written twice.</summary>
    internal static string DeviceOf(string name, string vfioUser, string? vhostUser = null) =>
        $"{name},vfio-user={Escape(vfioUser)}{(vhostUser is null ? "" : $",vhost-user={Escape(vhostUser)}")}";

    private static string Escape(string path) => path.Replace(",", ",,", StringComparison.Ordinal);

    private void StartGuest(string mode) => Guest = new GuestConsole(Start("vmshunt-guest",
    [
        "--hypervisor", _hypervisorSocket, "--wait", s_wait, "--memory", _options.MemoryBytes.ToString(CultureInfo.InvariantCulture), "--mode", mode,
        .. _options.GuestOptions, "console",
    ]));

    private ChildProcess Start(string name, IEnumerable<string> arguments) =>
        ChildProcess.Start(name, OwnPrograms.Find(name, _options.ProgramFolder), arguments);

    private async Task ReadyAsync(ChildProcess child)
    {
        Task<string> line = child.Output.ReadAsync(_cancel).AsTask();
        await Task.WhenAny([line, Task.Delay(GuestConsole.Patience, _cancel), .. Running.Select(static running => running.Ended)]);
        _cancel.ThrowIfCancellationRequested();
        if (line.IsCompletedSuccessfully)
        {
            if (line.Result.StartsWith("ready", StringComparison.Ordinal)) return;
            throw new LaunchException($"{child.Name} printed '{line.Result}' instead of its ready line");
        }
        // Another process that this one needs may have failed.
        var culprit = await FindExitedAsync() is [var first, ..] ? first : child;
        throw new LaunchException($"{culprit.Name} did not get ready; it said: {string.Join("; ", culprit.LastErrors)}");
    }
}
