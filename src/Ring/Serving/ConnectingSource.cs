using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Serving;

/// <summary>Connects to a peer that listens, such as QEMU with <c>server=on</c>, and again when the session has closed.</summary>
internal sealed class ConnectingSource : SessionSource
{
    private const int RetryMilliseconds = 200;

    private readonly string _path;
    private readonly Start _start;
    private readonly Action<string> _waiting;
    private readonly EventFd _stop = EventFd.Create();
    private readonly Thread _thread;

    internal ConnectingSource(string path, Start start, Action<string> waiting)
    {
        (_path, _start, _waiting) = (path, start, waiting);
        if (path.Length == 0) throw new IOException("connect: names no socket; say connect:PATH, where a front-end listens");
        UnixListener.CheckLength(path, "connect to");
        _thread = new Thread(Run) { IsBackground = true, Name = $"connect {Path.GetFileName(path)}" };
        SystemThread.Start(_thread);
    }

    public override void Dispose()
    {
        _stop.Signal();
        _thread.Join();
        _stop.Dispose();
    }

    private void Run()
    {
        using var stop = new WaitSet(_stop.Handle);
        var isWaiting = false;
        do
        {
            UnixConnection connection;
            try
            {
                connection = UnixConnection.Connect(_path);
            }
            catch (IOException e)
            {
                if (!isWaiting) _waiting($"{e.Message}; retrying until a front-end listens there (QEMU: -chardev socket,path={_path},server=on)");
                isWaiting = true;
                continue;
            }
            isWaiting = false;
            // The thread is in the session until it closes. A stop ends the session, but after this source.
            var session = _start(connection);
            while (session is { IsAlive: true } && !stop.Wait(RetryMilliseconds))
            {
            }
        }
        while (!stop.Wait(RetryMilliseconds));
    }
}
