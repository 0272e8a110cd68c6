using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.VhostUser;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.EndToEnd.Crash;

/// <summary>
/// A vhost-user back-end in VM-H's place that completes no request. When the guest crashes it keeps the guest's memory mapped
/// and overwrites it until it is disposed.
/// </summary>
internal sealed class HostileBus : IVhostUserDevice, IDisposable
{
    private readonly bool _closes;
    private readonly UnixListener _listener;
    private readonly Thread _thread;
    private readonly List<GuestMemory> _stolen = [];
    private readonly SharedFlag _stopping = new();
    private long _written;

    /// <param name="path">Its socket, for one guest.</param>
    /// <param name="sectors">The capacity that it reports.</param>
    /// <param name="closes">Whether it closes its socket when the channel is revoked, as a correct back-end does.</param>
    internal HostileBus(string path, ulong sectors, bool closes)
    {
        _closes = closes;
        Capacity = sectors;
        _listener = UnixListener.Bind(path);
        _thread = new Thread(Serve) { IsBackground = true, Name = "hostile bus" };
        _thread.Start();
    }

    /// <summary>The bytes it has written since the guest crashed.</summary>
    internal long Written => Interlocked.Read(ref _written);

    public ulong Features => (ulong)(VirtioBlkFeatures.Version1 | VirtioBlkFeatures.Flush | VirtioBlkFeatures.EventIndex);

    public int QueueCount => 1;

    public int MaxQueueSize => 1024;

    private ulong Capacity { get; }

    public void FeaturesChosen(ulong features)
    {
    }

    public bool TryReadConfig(int offset, Span<byte> target)
    {
        var config = new VirtioBlkConfig { Capacity = Capacity, NumQueues = 1 };
        var bytes = MemoryMarshal.AsBytes(new Span<VirtioBlkConfig>(ref config));
        target.Clear();
        if (offset < bytes.Length) bytes[offset..Math.Min(bytes.Length, offset + target.Length)].CopyTo(target);
        return true;
    }

    public bool TryWriteConfig(int offset, ReadOnlySpan<byte> source) => false;

    public IRunningVring Start(VringSetup setup)
    {
        // Keeps the mappings when the session unmaps its own.
        _stolen.Add(new GuestMemory(setup.Memory.Regions));
        return new Idle();
    }

    public void Dispose()
    {
        _stopping.Raise();
        _thread.Join();
        foreach (var memory in _stolen) memory.Dispose();
        _listener.Dispose();
    }

    private void Serve()
    {
        var connection = _listener.Accept();
        var backend = new VhostUserBackend(new VhostUserConnection(connection), this, static _ => { });
        backend.Run();
        if (_closes) backend.Dispose();
        var random = new Random(99);
        var noise = new byte[1 << 16];
        while (!_stopping.IsRaised)
        {
            random.NextBytes(noise);
            foreach (var region in _stolen.SelectMany(static memory => memory.Regions))
            {
                for (ulong at = 0; at + (ulong)noise.Length <= region.Size; at += (ulong)noise.Length)
                {
                    noise.CopyTo(_stolen[0].GetSpan(region.GuestAddress + at, noise.Length));
                    Interlocked.Add(ref _written, noise.Length);
                }
            }
        }
        if (!_closes) backend.Dispose();
    }

    private sealed class Idle : IRunningVring
    {
        public uint Stop() => 0;
    }
}
