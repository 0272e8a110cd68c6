using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Machine;

/// <summary>
/// The processors that applications run on. Each has a thread that runs posted work and the continuations of asynchronous
/// work. Any thread may start work.
/// </summary>
internal sealed class ApplicationProcessors
{
    private readonly Scheduler[] _processors;
    private readonly CrashGate _crash;

    /// <param name="count">The number of processors.</param>
    /// <param name="machine">Starts the processors; null without a machine, which has threads only.</param>
    /// <param name="firstAccess">A device register that each processor reads when it starts, so that a dump has its state.</param>
    /// <param name="crash">Stops them when the machine crashes.</param>
    /// <param name="fault">Called with the exception that ends an application's thread.</param>
    internal ApplicationProcessors(int count, MachineProcessors? machine, ulong firstAccess, CrashGate crash, Action<Exception> fault)
    {
        _crash = crash;
        _processors = [.. Enumerable.Range(0, count).Select(i => new Scheduler(i, machine, firstAccess, crash, fault))];
    }

    internal int Count => _processors.Length;

    /// <summary>Runs work on a processor.</summary>
    /// <param name="number">Any number, taken modulo the processors.</param>
    /// <param name="work">The work.</param>
    /// <returns>Completes with the work.</returns>
    internal Task Run(int number, Func<Task> work)
    {
        var completion = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _processors[number % _processors.Length].Post(
            async void (_) =>
            {
                try
                {
                    await work();
                    completion.SetResult();
                }
                catch (Exception e)
                {
                    completion.SetException(e);
                }
            },
            null);
        return completion.Task;
    }

    /// <summary>Runs work that blocks, on its own thread. Its register accesses use the shared processor.</summary>
    /// <param name="work">The work; it awaits nothing.</param>
    /// <returns>Completes with the work.</returns>
    internal Task RunAlone(Func<Task> work) => Task.Factory.StartNew(
        () =>
        {
            _crash.Enter();
            try
            {
                return work();
            }
            finally
            {
                _crash.Leave();
            }
        },
        CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap();

    private sealed class Scheduler : SynchronizationContext
    {
        private readonly Queue<(SendOrPostCallback Work, object? State)> _work = [];
        private readonly MachineProcessors? _machine;
        private readonly ulong _firstAccess;
        private readonly CrashGate _crash;
        private readonly Action<Exception> _fault;

        internal Scheduler(int number, MachineProcessors? machine, ulong firstAccess, CrashGate crash, Action<Exception> fault)
        {
            _machine = machine;
            _firstAccess = firstAccess;
            _crash = crash;
            _fault = fault;
            new Thread(Run) { IsBackground = true, Name = $"application {number}" }.Start();
        }

        public override void Post(SendOrPostCallback d, object? state)
        {
            lock (_work)
            {
                _work.Enqueue((d, state));
                Monitor.Pulse(_work);
            }
        }

        public override SynchronizationContext CreateCopy() => this;

        private void Run()
        {
            SetSynchronizationContext(this);
            try
            {
                _machine?.Enter();
                _machine?.Read(_firstAccess, sizeof(uint));
                while (true)
                {
                    var (work, state) = Take();
                    _crash.ParkIfCrashed();
                    work(state);
                }
            }
            catch (Exception e)
            {
                _fault(e);
            }
        }

        private (SendOrPostCallback Work, object? State) Take()
        {
            lock (_work)
            {
                if (_work.Count == 0)
                {
                    _crash.Leave();
                    while (_work.Count == 0) Monitor.Wait(_work);
                }
                _crash.Enter();
                return _work.Dequeue();
            }
        }
    }
}
