using System.Globalization;
using System.Text.Json.Serialization.Metadata;

namespace VmShunt.Perf.Launch;

/// <summary>
/// VM-H, the hypervisor and VM-C as running processes. Whatever VM-C is asked through <see cref="AskAsync{T}"/> fails as
/// soon as one of them ends on its own.
/// </summary>
internal sealed class ThreeProcesses : IAsyncDisposable
{
    // Should the launcher itself be killed, the guest sees the end of its input, and the others end after it. The
    // hypervisor's clients are gone for a moment when the guest restarts; VM-H's only when the hypervisor is.
    private const string HypervisorLinger = "10", HostLinger = "2";

    // All may be started at once; who needs another waits for it.
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

    /// <summary>The one that was started last, and still is held.</summary>
    internal ChildProcess? Newest => Running.LastOrDefault();

    private IEnumerable<ChildProcess> Running => new[] { Host, Hypervisor, Guest?.Process }.OfType<ChildProcess>();

    /// <summary>Makes the holder; nothing runs yet.</summary>
    internal static ThreeProcesses Prepare(
        LaunchOptions options, WorkFolder folder, Func<string, ITrapCounter> connectTrapCounter, CancellationToken cancel) =>
        new(options, connectTrapCounter, folder["hypervisor.sock"], cancel);

    /// <summary>Starts all three at once: VM-H on the disk, the hypervisor with that disk as its only device, and VM-C as <see cref="StartGuestAsync"/> does.</summary>
    /// <param name="disk">VM-H's.</param>
    /// <param name="folder">For sockets.</param>
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

    /// <summary>Starts VM-C; returns when it has booted and its console listens.</summary>
    /// <param name="mode">The mode that it starts in.</param>
    internal async Task StartGuestAsync(string mode = "emulating")
    {
        StartGuest(mode);
        await ReadyAsync(Guest!.Process);
    }

    /// <summary>Waits for the guest to end by itself, as it does after a crash or when it was told to quit.</summary>
    /// <exception cref="LaunchException">It does not, or with an exit code other than 0.</exception>
    internal async Task GuestEndsAsync()
    {
        ChildProcess guest = Guest!.Process;
        await Task.WhenAny(guest.Ended, Task.Delay(GuestConsole.Patience, _cancel));
        _cancel.ThrowIfCancellationRequested();
        if (!guest.Ended.IsCompleted) throw new LaunchException($"{guest.Name} does not end");
        if (guest.ExitCode != 0) throw new LaunchException($"{guest.Name} was done, and ended with exit code {guest.ExitCode}");
        Guest = null;
        await guest.DisposeAsync();
    }

    /// <summary>Asks the guest's console, and watches the other two meanwhile.</summary>
    /// <param name="command">One line.</param>
    /// <param name="shape">How the answer is read.</param>
    /// <param name="work">How long the work itself should take.</param>
    /// <exception cref="LaunchException">The guest said no or nothing, or one of the three ended.</exception>
    internal async Task<T> AskAsync<T>(string command, JsonTypeInfo<T> shape, TimeSpan work = default)
    {
        Task<T> answer = Guest!.AskAsync(command, shape, work, _cancel);
        Task first = await Task.WhenAny(answer, Host!.Ended, Hypervisor!.Ended);
        // An answer that came is an answer, even if a process ended right after it.
        if (answer.IsCompletedSuccessfully || (first == answer && !Guest.Process.Ended.IsCompleted)) return await answer;
        _cancel.ThrowIfCancellationRequested();
        // The guest may be the first to be heard of, and not the first that ended.
        IReadOnlyList<ChildProcess> ended = await FindEndedAsync();
        var culprit = first == Host.Ended ? Host : first == Hypervisor.Ended ? Hypervisor : ended is [var earliest, ..] ? earliest : null;
        if (culprit is null || culprit == Guest.Process) return await answer;
        throw new LaunchException($"{culprit.Name} ended while vmshunt-guest was asked '{command}'");
    }

    /// <summary>
    /// The processes that ended on their own, the first to end first: where a failure began. Waits a moment, because the
    /// news of an end may come later than what it caused.
    /// </summary>
    internal async Task<IReadOnlyList<ChildProcess>> FindEndedAsync()
    {
        await Task.WhenAny(Task.WhenAll(Running.Select(static child => child.Ended)), Task.Delay(TimeSpan.FromMilliseconds(500)));
        return [.. Running.Where(static child => child.Ended.IsCompleted).OrderBy(static child => child.ExitTime)];
    }

    /// <summary>Ends all of them, VM-C first, so that nobody loses a peer that it needs.</summary>
    public async ValueTask DisposeAsync()
    {
        Traps?.Dispose();
        if (Guest is not null) await Guest.Process.DisposeAsync();
        if (Hypervisor is not null) await Hypervisor.DisposeAsync();
        if (Host is not null) await Host.DisposeAsync();
    }

    private void StartServers(string disk, WorkFolder folder)
    {
        string vhostUser = folder["vhost-user.sock"], vfioUser = folder["vfio-user.sock"];
        List<string> arguments = ["--disk", disk, "--vhost-user", vhostUser, "--vfio-user", vfioUser, "--linger", HostLinger, .. _options.HostOptions];
        if (!_options.MayWrite) arguments.Add("--read-only");
        Host = Start("vmshunt-host", arguments);
        Hypervisor = Start("vmshunt-hypervisor",
        [
            "--socket", _hypervisorSocket, "--device", $"disk0,vhost-user={vhostUser},vfio-user={vfioUser}", "--linger", HypervisorLinger, "--wait", s_wait,
        ]);
    }

    private void StartGuest(string mode) => Guest = new GuestConsole(Start("vmshunt-guest",
    [
        "--hypervisor", _hypervisorSocket, "--wait", s_wait, "--memory", _options.MemoryBytes.ToString(CultureInfo.InvariantCulture), "--mode", mode,
        .. _options.GuestOptions, "console",
    ]));

    private ChildProcess Start(string name, IEnumerable<string> arguments) =>
        ChildProcess.Start(name, Path.Combine(_options.ProgramFolder, name), arguments);

    private async Task ReadyAsync(ChildProcess child)
    {
        Task<string> line = child.Output.ReadAsync(_cancel).AsTask();
        await Task.WhenAny([line, Task.Delay(GuestConsole.Patience, _cancel), .. Running.Select(static running => running.Ended)]);
        _cancel.ThrowIfCancellationRequested();
        if (line.IsCompletedSuccessfully)
        {
            if (line.Result.StartsWith("ready", StringComparison.Ordinal)) return;
            throw new LaunchException($"{child.Name} said '{line.Result}' where 'ready' was due");
        }
        // Another that it needs, or that was started with it, may be why.
        var culprit = await FindEndedAsync() is [var first, ..] ? first : child;
        throw new LaunchException($"{culprit.Name} did not get ready; it said: {string.Join("; ", culprit.LastErrors)}");
    }
}
