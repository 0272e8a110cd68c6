namespace VmShunt.Guest.Workloads;

/// <summary>
/// Starts what a load has in flight. A thread keeps to a queue of the bus, and a worker goes on where its requests complete,
/// which is that queue's thread: where it starts is where it stays.
/// </summary>
internal static class Workers
{
    /// <param name="count">How many workers.</param>
    /// <param name="threads">From how many threads, in turns: as many as there are queues. With one it is the calling thread.</param>
    /// <param name="work">Runs one, given its number from 0, until it first waits.</param>
    /// <returns>Their ends.</returns>
    internal static Task[] Start(int count, int threads, Func<int, Task> work)
    {
        var workers = new Task[count];
        if (threads <= 1)
        {
            StartFrom(0);
            return workers;
        }
        for (var first = 0; first < Math.Min(threads, count); first++)
        {
            var from = first;
            var thread = new Thread(() => StartFrom(from)) { IsBackground = true, Name = $"workers {from}" };
            thread.Start();
            // One after another, so that no two of them are dealt to one queue.
            thread.Join();
        }
        return workers;

        void StartFrom(int from)
        {
            for (var i = from; i < count; i += Math.Max(1, threads)) workers[i] = work(i);
        }
    }
}
