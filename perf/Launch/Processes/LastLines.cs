namespace VmShunt.Perf.Launch;

/// <summary>The last lines of a process's output. Thread-safe.</summary>
internal sealed class LastLines(int capacity)
{
    private readonly Lock _lock = new();
    private readonly Queue<string> _lines = new(capacity);

    internal void Add(string line)
    {
        lock (_lock)
        {
            if (_lines.Count == capacity) _lines.Dequeue();
            _lines.Enqueue(line);
        }
    }

    internal string[] Snapshot()
    {
        lock (_lock) return [.. _lines];
    }
}
