using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace VmShunt.EndToEnd.Processes;

/// <summary>
/// Stops single threads of another process, as a disk that hangs would, while its other threads run (ptrace(2)). They
/// resume when they are released, at the latest when this is disposed.
/// </summary>
internal sealed class HeldThreads : IDisposable
{
    private const int PTRACE_SEIZE = 0x4206, PTRACE_INTERRUPT = 0x4207, PTRACE_DETACH = 17;
    private const int WAIT_ALL = 0x4000_0000;

    private readonly int[] _threads;
    private readonly BlockingCollection<bool> _orders = [];
    private readonly TaskCompletionSource _held = new();
    private readonly Thread _tracer;

    private HeldThreads(int[] threads)
    {
        _threads = threads;
        // Only the thread that attached may detach.
        _tracer = new Thread(Trace) { IsBackground = true, Name = "tracer" };
        _tracer.Start();
        _held.Task.GetAwaiter().GetResult();
    }

    /// <summary>Holds every thread of this name.</summary>
    internal static HeldThreads Of(int processId, string name)
    {
        int[] threads = [.. Directory.EnumerateDirectories($"/proc/{processId}/task").Where(task => File.ReadAllText($"{task}/comm").Trim() == name).Select(task => int.Parse(Path.GetFileName(task)))];
        Assert.True(threads.Length > 0, $"process {processId} has no thread '{name}'");
        return new HeldThreads(threads);
    }

    /// <summary>Resumes them.</summary>
    internal void Release()
    {
        if (_orders.IsAddingCompleted) return;
        _orders.CompleteAdding();
        _tracer.Join();
    }

    public void Dispose()
    {
        Release();
        _orders.Dispose();
    }

    private void Trace()
    {
        try
        {
            foreach (var thread in _threads)
            {
                Check(Ptrace(PTRACE_SEIZE, thread, 0, 0), "seize");
                Check(Ptrace(PTRACE_INTERRUPT, thread, 0, 0), "interrupt");
                Check(WaitPid(thread, out _, WAIT_ALL), "wait for");
            }
            _held.SetResult();
        }
        catch (InvalidOperationException e)
        {
            _held.SetException(e);
        }
        _orders.TryTake(out _, Timeout.Infinite);
        // Fails if the process has exited, which does no harm.
        foreach (var thread in _threads) _ = Ptrace(PTRACE_DETACH, thread, 0, 0);
    }

    private static void Check(nint result, string what)
    {
        if (result < 0) throw new InvalidOperationException($"cannot {what} a thread: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [DllImport("libc", EntryPoint = "ptrace", SetLastError = true)]
    private static extern nint Ptrace(nint request, nint thread, nint address, nint data);

    [DllImport("libc", EntryPoint = "waitpid", SetLastError = true)]
    private static extern int WaitPid(int thread, out int status, int options);
}
