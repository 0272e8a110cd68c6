using VmShunt.Perf.Compare.Session;
using VmShunt.Perf.Launch;

namespace VmShunt.Perf.Compare.Contestants;

/// <summary>A disk that a back-end serves.</summary>
/// <param name="Medium">memory, null, page cache or O_DIRECT.</param>
/// <param name="Content">noise (random bytes), holes, or nothing.</param>
/// <param name="Bytes">Its size.</param>
internal sealed record BackEndDisk(string Medium, string Content, long Bytes)
{
    internal const string Memory = "memory", Null = "null", PageCache = "page cache", Direct = "O_DIRECT";
}

/// <summary>A process that serves a disk on a vhost-user socket: VM-H or a peer.</summary>
internal sealed class BackEnd : IAsyncDisposable
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    private readonly CompareSession _session;
    private readonly ChildProcess _process;

    private BackEnd(CompareSession session, string subject, BackEndDisk disk, string socket, ChildProcess process)
    {
        _session = session;
        _process = process;
        Subject = subject;
        Disk = disk;
        Socket = socket;
        session.Guard.Watch(process.Id);
    }

    internal string Subject { get; }

    internal BackEndDisk Disk { get; }

    internal string Socket { get; }

    internal int ProcessId => _process.Id;

    /// <summary>VM-H.</summary>
    /// <param name="session">The run.</param>
    /// <param name="subject">Its name in the report.</param>
    /// <param name="disk">The disk that it serves.</param>
    /// <param name="program">The JIT's or the native executable.</param>
    /// <param name="spec">The disk as a value of <c>--disk</c>.</param>
    /// <param name="options">Further options.</param>
    internal static Task<BackEnd> HostAsync(CompareSession session, string subject, BackEndDisk disk, string program, string spec, params IEnumerable<string> options)
    {
        var socket = session.NewSocket();
        var process = ChildProcess.Start("vmshunt-host", program, ["--disk", spec, "--vhost-user", socket, .. options]);
        return ReadyAsync(new BackEnd(session, subject, disk, socket, process));
    }

    /// <summary>qemu-storage-daemon; null if it is not installed.</summary>
    /// <param name="session">The run.</param>
    /// <param name="subject">Its name in the report.</param>
    /// <param name="disk">The disk that it serves.</param>
    /// <param name="blockDevice">The options of <c>--blockdev</c>, without the node's name.</param>
    /// <param name="ownThread">Whether the export runs in an iothread instead of the main loop.</param>
    internal static async Task<BackEnd?> StorageDaemonAsync(CompareSession session, string subject, BackEndDisk disk, string blockDevice, bool ownThread)
    {
        if (InstalledPrograms.Find(InstalledPrograms.StorageDaemon) is not { } program) return null;
        var socket = session.NewSocket();
        string[] thread = ownThread ? ["--object", "iothread,id=thread0"] : [];
        var export = $"type=vhost-user-blk,id=export0,node-name=disk0,addr.type=unix,addr.path={socket}{(ownThread ? ",iothread=thread0" : "")}";
        var process = ChildProcess.Start(InstalledPrograms.StorageDaemon, program, ["--blockdev", $"{blockDevice},node-name=disk0", .. thread, "--export", export]);
        return await ReadyAsync(new BackEnd(session, subject, disk, socket, process));
    }

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        _session.Guard.Forget(_process.Id);
    }

    // Only VM-H prints a ready line.
    private static async Task<BackEnd> ReadyAsync(BackEnd backEnd)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(backEnd._session.Cancel);
        limit.CancelAfter(s_timeout);
        try
        {
            while (!UnixSocket.IsListening(backEnd.Socket))
            {
                if (backEnd._process.Ended.IsCompleted)
                    throw new LaunchException($"{backEnd._process.Name} exited with code {backEnd._process.ExitCode}: {string.Join("; ", backEnd._process.LastOutput)}");
                await Task.Delay(5, limit.Token);
            }
            return backEnd;
        }
        catch (OperationCanceledException) when (!backEnd._session.Cancel.IsCancellationRequested)
        {
            await backEnd.DisposeAsync();
            throw new LaunchException($"{backEnd._process.Name} did not listen on {backEnd.Socket} within {s_timeout.TotalSeconds:F0} s");
        }
        catch
        {
            await backEnd.DisposeAsync();
            throw;
        }
    }
}
