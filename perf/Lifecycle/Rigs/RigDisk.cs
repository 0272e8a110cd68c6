using VmShunt.Perf.Launch;
using VmShunt.Perf.Lifecycle.Processes;
using VmShunt.Ring.VhostUser;

namespace VmShunt.Perf.Lifecycle.Rigs;

/// <summary>A disk of a rig: its image, the VM-H that serves it now, and the relay between the two ends, if there is one.</summary>
internal sealed class RigDisk : IAsyncDisposable
{
    // Which recvmsg(2) of a session ends VM-H in its set-up: a message is one or two; QEMU sends about 25.
    private static readonly int[] s_setUpCalls = [6, 24, 40];

    private const int StallMicroseconds = 6_000_000;

    private readonly WorkFolder _folder;
    private readonly int _number;
    private readonly VhostUserProtocolFeatures _withheld;
    private readonly string _engine;
    private Side _side;
    private Side? _nextSide;
    private int _sides, _linesBefore;
    private Strace? _stall;

    /// <param name="folder">Where its files are.</param>
    /// <param name="number">From 0.</param>
    /// <param name="bytes">Its size.</param>
    /// <param name="withheld">Protocol features that the front-end does not see; none: it connects to VM-H itself.</param>
    /// <param name="engine">VM-H's.</param>
    internal RigDisk(WorkFolder folder, int number, long bytes, VhostUserProtocolFeatures withheld, string engine)
    {
        (_folder, _number, _withheld, _engine) = (folder, number, withheld, engine);
        (IsPacked, IsLoaded) = Rig.Disks[number];
        Image = folder[$"disk{number}.img"];
        using (var image = File.Create(Image)) image.SetLength(bytes);
        _side = CreateSide();
    }

    internal bool IsPacked { get; }

    internal bool IsLoaded { get; }

    internal string Image { get; }

    /// <summary>For the front-end.</summary>
    internal string Socket => _side.Socket;

    internal ChildProcess Host => _side.Host;

    /// <summary>What VM-H wrote since <see cref="Mark"/>, or since it started.</summary>
    internal IEnumerable<string> Said => Host.LastErrors.Skip(_linesBefore);

    /// <summary>The last event did not happen to it.</summary>
    internal bool IsSpared { get; set; }

    /// <summary>VM-H says that it cannot serve the ring.</summary>
    internal bool IsGivenUp => Said.Any(IsGivingUp);

    /// <summary>The outcome of a disk that does no I/O.</summary>
    internal CellOutcome LossOutcome() => IsGivenUp
        ? Outcome(LifecycleVerdict.CannotBeSaved, Said.First(IsGivingUp))
        : Outcome(LifecycleVerdict.Lost, $"{(_side.Messages is { } messages ? $"the front-end sent {messages} messages in its last session; " : "")}VM-H wrote: {string.Join(" / ", Said.TakeLast(3))}");

    internal CellOutcome Outcome(LifecycleVerdict verdict, string detail = "") => new(IsPacked, IsLoaded, verdict, detail);

    internal void Mark() => _linesBefore = Host.LastErrors.Length;

    internal Task StartHostAsync() => StartHostAsync(_side.HostSocket);

    private async Task StartHostAsync(string socket)
    {
        _side.Host = await StartHostOnAsync(socket);
        _linesBefore = 0;
    }

    /// <summary>Starts the VM-H to which the guest is about to migrate.</summary>
    /// <returns>Its socket, for the next front-end.</returns>
    internal async Task<string> PrepareMoveAsync()
    {
        _nextSide = CreateSide();
        _nextSide.Host = await StartHostOnAsync(_nextSide.HostSocket, "--incoming");
        return _nextSide.Socket;
    }

    /// <summary>What the VM-H that the guest left wrote since <see cref="Mark"/>.</summary>
    internal IReadOnlyList<string> SourceSaid { get; private set; } = [];

    /// <summary>The next write of the ring's thread takes some seconds.</summary>
    internal async Task StallAsync()
    {
        _stall = await Strace.AttachToThreadAsync(RingThread(), "-e", "trace=pwritev", "-e", $"inject=pwritev:delay_enter={StallMicroseconds}:when=1");
        // Under load the next write follows at once.
        await Task.Delay(TimeSpan.FromSeconds(1));
    }

    /// <summary>The guest has migrated: ends the VM-H that it left.</summary>
    internal async Task CompleteMoveAsync()
    {
        var old = _side;
        if (_stall is not null)
        {
            await Until.TrueAsync(() => Said.Any(static line => line.Contains("flushed and released", StringComparison.Ordinal)), "the source releases the image");
            await _stall.DisposeAsync();
            _stall = null;
        }
        SourceSaid = [.. Said];
        (_side, _nextSide) = (_nextSide!, null);
        _linesBefore = 0;
        _ = Signal.Send(old.Host.Id, Signal.Terminate);
        await Programs.WaitForEndAsync(old.Host);
        await old.DisposeAsync();
    }

    /// <summary>Waits for VM-H's end and starts another.</summary>
    internal async Task ReplaceHostAsync()
    {
        await Programs.WaitForEndAsync(Host);
        await Host.DisposeAsync();
        await StartHostAsync();
    }

    internal Task RestartHostAsync(int signal)
    {
        _ = Signal.Send(Host.Id, signal);
        return ReplaceHostAsync();
    }

    /// <summary>Kills VM-H, and others while the front-end sets its session up, and starts one that lives.</summary>
    internal async Task DieInSetUpAsync()
    {
        _ = Signal.Send(Host.Id, Signal.Kill);
        foreach (var call in s_setUpCalls)
        {
            await Programs.WaitForEndAsync(Host);
            await Host.DisposeAsync();
            // The front-end finds the socket when strace is attached.
            var hidden = _side.HostSocket + ".new";
            await StartHostAsync(hidden);
            await using var strace = await Strace.AttachAsync(Host.Id, "-e", "trace=recvmsg", "-e", $"inject=recvmsg:signal=KILL:when={call}");
            File.Move(hidden, _side.HostSocket, overwrite: true);
            await Task.WhenAny(Host.Ended, Task.Delay(TimeSpan.FromSeconds(10)));
            // A front-end that sends fewer messages has set its session up by now.
            if (!Host.Ended.IsCompleted) _ = Signal.Send(Host.Id, Signal.Kill);
        }
        await ReplaceHostAsync();
    }

    /// <summary>SIGUSR1 and SIGUSR2.</summary>
    internal async Task WithdrawAsync()
    {
        _ = Signal.Send(Host.Id, Signal.User1);
        // .NET handles two signals at once in any order, so the second is sent when the first has been handled.
        await Until.TrueAsync(() => Said.Any(static line => line.Contains("is closed, sessions are stopping", StringComparison.Ordinal)), "VM-H withdraws the bus");
        _ = Signal.Send(Host.Id, Signal.User2);
    }

    /// <summary>Kills VM-H when the ring's thread makes a system call.</summary>
    /// <param name="call">The call.</param>
    /// <param name="count">Its how-manieth one from now on.</param>
    /// <param name="attached">Called when VM-H is traced.</param>
    /// <returns>False: it made no such call.</returns>
    internal async Task<bool> KillAtCallAsync(string call, int count, Func<Task> attached)
    {
        await using var strace = await Strace.AttachToThreadAsync(RingThread(), "-e", $"trace={call}", "-e", $"inject={call}:signal=KILL:when={count}");
        await attached();
        await Task.WhenAny(Host.Ended, Task.Delay(TimeSpan.FromSeconds(10)));
        if (!Host.Ended.IsCompleted) return false;
        await ReplaceHostAsync();
        return true;
    }

    /// <summary>The system calls of the ring's thread within a second.</summary>
    internal async Task<IReadOnlyCollection<string>> CallsAsync()
    {
        await using var strace = await Strace.AttachToThreadAsync(RingThread());
        await Task.Delay(TimeSpan.FromSeconds(1));
        return [.. (await strace.EndAsync()).Select(static line => line.Split('(')[0]).Where(static name => name.All(char.IsAsciiLetterOrDigit) || name.Contains('_', StringComparison.Ordinal)).Distinct()];
    }

    public async ValueTask DisposeAsync()
    {
        if (_stall is not null) await _stall.DisposeAsync();
        if (_nextSide is not null) await _nextSide.DisposeAsync();
        await _side.DisposeAsync();
    }

    private Task<ChildProcess> StartHostOnAsync(string socket, params string[] more) =>
        Programs.StartReadyAsync("vmshunt-host", ["--disk", Image, "--vhost-user", socket, "--engine", _engine, .. more]);

    private Side CreateSide()
    {
        var name = $"{_number}-{_sides++}";
        var socket = _folder[$"ring{name}"];
        if (_withheld == VhostUserProtocolFeatures.None) return new Side(socket, socket, null);
        var hostSocket = _folder[$"host{name}"];
        return new Side(socket, hostSocket, new FeatureRelay(socket, hostSocket, _withheld));
    }

    /// <summary>A VM-H, its socket and the relay before it. A guest that migrates has one at its source and one at its destination.</summary>
    private sealed class Side(string socket, string hostSocket, FeatureRelay? relay) : IAsyncDisposable
    {
        internal string Socket => socket;

        internal string HostSocket => hostSocket;

        /// <summary>Null without a relay.</summary>
        internal int? Messages => relay?.Messages;

        internal ChildProcess Host { get; set; } = null!;

        public async ValueTask DisposeAsync()
        {
            relay?.Dispose();
            if (Host is not null) await Host.DisposeAsync();
        }
    }

    private static bool IsGivingUp(string line) => line.Contains("cannot be continued", StringComparison.Ordinal);

    private int RingThread() => int.Parse(Path.GetFileName(
        Directory.EnumerateDirectories($"/proc/{Host.Id}/task").First(static thread => File.ReadAllText(Path.Combine(thread, "comm")).Trim() == "vring 0")), System.Globalization.CultureInfo.InvariantCulture);
}
