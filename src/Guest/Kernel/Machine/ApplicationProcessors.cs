using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Machine;

/// <summary>
/// The processors that applications run on: a thread each, which runs what is posted to it, and on which an application's
/// asynchronous work goes on after each wait. Any thread may start work.
/// </summary>
internal sealed class ApplicationProcessors
{
    private readonly Scheduler[] _processors;
    private readonly CrashGate _crash;

    /// <param name="count">How many.</param>
    /// <param name="machine">Where the processors come from; null without a machine, where only the threads are there.</param>
    /// <param name="firstAccess">An address of the machine that each reads when it starts, so that its registers are known.</param>
    /// <param name="crash">Stops them when the machine crashes.</param>
    /// <param name="fault">Told what an application's thread dies of.</param>
    internal ApplicationProcessors(int count, MachineProcessors? machine, ulong firstAccess, CrashGate crash, Action<Exception> fault)
    {
        _crash = crash;
        _processors = [.. Enumerable.Range(0, count).Select(i => new Scheduler(i, machine, firstAccess, crash, fault))];
    }

    internal int Count => _processors.Length;

    /// <summary>Runs work on one of them.</summary>
    /// <param name="number">Any number; it is taken modulo the processors.</param>
    /// <param name="work">The work.</param>
    /// <returns>Its end.</returns>
    internal Task Run(int number, Func<Task> work)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _processors[number % _processors.Length].Post(
            async void (_) =>
            {
                try
                {
                    await work();
                    ended.SetResult();
                }
                catch (Exception e)
                {
                    ended.SetException(e);
                }
            },
            null);
        return ended.Task;
    }

    /// <summary>Runs work that blocks, on a thread of its own. It has no processor: its register accesses go by the one that such threads share.</summary>
    /// <param name="work">The work; it awaits nothing.</param>
    /// <returns>Its end.</returns>
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
