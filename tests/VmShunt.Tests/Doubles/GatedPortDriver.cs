using VmShunt.BlockBackend.Disk;
using VmShunt.Ring.Memory;

namespace VmShunt.Tests.Doubles;

/// <summary>A disk whose operations block at a gate, for tests that act while one is in flight.</summary>
/// <param name="bytes">Its size.</param>
/// <param name="fill">What it contains.</param>
/// <param name="canAbandon">Whether its requests can be abandoned, as those of a file in the page cache.</param>
internal sealed class GatedPortDriver(long bytes, byte fill = 0xAA, bool canAbandon = false) : PortDriver
{
    private readonly SemaphoreSlim _entered = new(0), _gate = new(0);
    private int _operations;

    internal override string Description => "gated";

    internal override long Bytes => bytes;

    internal override bool IsReadOnly => false;

    internal override bool CanAbandon => canAbandon;

    internal int Operations => Ordered.Load(ref _operations);

    /// <summary>Waits until an operation blocks at the gate.</summary>
    internal void AwaitOperation() => Assert.True(_entered.Wait(TimeSpan.FromSeconds(60)), "no operation was submitted");

    /// <summary>Lets operations pass.</summary>
    internal void Open(int operations = 1) => _gate.Release(operations);

    internal override void Read(IoVectors target, long offset)
    {
        Pass();
        target.CopyFrom([.. Enumerable.Repeat(fill, (int)target.TotalBytes)], isGuarded: true);
    }

    internal override void Write(IoVectors source, long offset) => Pass();

    internal override void Flush() => Pass();

    internal override bool TryDiscard(long offset, long bytes) => true;

    internal override void WriteZeroes(long offset, long bytes) => Pass();

    public override void Dispose()
    {
        _entered.Dispose();
        _gate.Dispose();
    }

    private void Pass()
    {
        Interlocked.Increment(ref _operations);
        _entered.Release();
        // A test that fails before it opens the gate must not block the disposal of its machine forever.
        if (!_gate.Wait(TimeSpan.FromSeconds(120))) throw new IOException("the gate was not opened");
    }
}
