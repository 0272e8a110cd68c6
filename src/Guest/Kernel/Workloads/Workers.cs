namespace VmShunt.Guest.Workloads;

/// <summary>
/// Starts the workers of a load. A thread submits to one queue of the bus, and a worker continues on the thread that completes
/// its requests, which is that queue's: the starting thread decides the worker's queue for good.
/// </summary>
internal static class Workers
{
    /// <param name="count">The number of workers.</param>
    /// <param name="threads">The number of threads to start from, round-robin: as many as there are queues. 1: the calling thread.</param>
    /// <param name="work">Runs a worker, given its number from 0, until it first awaits.</param>
    /// <returns>Their tasks.</returns>
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
            // Sequential, so that each gets a queue of its own.
            thread.Join();
        }
        return workers;

        void StartFrom(int from)
        {
            for (var i = from; i < count; i += Math.Max(1, threads)) workers[i] = work(i);
        }
    }
}
