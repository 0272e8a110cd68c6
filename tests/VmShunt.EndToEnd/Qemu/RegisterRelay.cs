using System.Numerics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Serving;
using VmShunt.Trap;
using VmShunt.Trap.Ahci;

namespace VmShunt.EndToEnd.Qemu;

/// <summary>What a guest's driver did to the emulated controller's registers.</summary>
/// <param name="Commands">Commands that it issued: bits written to PxCI.</param>
/// <param name="Reads">Register reads, for each of which a processor of the guest waits.</param>
/// <param name="Writes">Register writes.</param>
internal readonly record struct RegisterCounts(long Commands, long Reads, long Writes)
{
    internal double AccessesPerCommand => (double)(Reads + Writes) / Commands;

    internal double ReadsPerCommand => (double)Reads / Commands;

    public static RegisterCounts operator -(RegisterCounts a, RegisterCounts b) => new(a.Commands - b.Commands, a.Reads - b.Reads, a.Writes - b.Writes);
}

/// <summary>Passes vfio-user messages and their descriptors between QEMU and VM-H, and counts the accesses of BAR 5.</summary>
internal sealed class RegisterRelay : IDisposable
{
    private const int HeaderBytes = 16;
    private const ushort RegionRead = 9, RegionWrite = 10;
    private const uint Bar5 = 5;

    private readonly string _target;
    private readonly SessionListener _listener;
    private long _commands, _reads, _writes;

    /// <param name="listen">The socket for QEMU.</param>
    /// <param name="target">VM-H's.</param>
    internal RegisterRelay(string listen, string target)
    {
        _target = target;
        _listener = new SessionListener(listen, Serve);
    }

    internal RegisterCounts Counts => new(Interlocked.Read(ref _commands), Interlocked.Read(ref _reads), Interlocked.Read(ref _writes));

    public void Dispose() => _listener.Dispose();

    private void Serve(UnixConnection connection)
    {
        using var front = new FramedConnection(connection);
        using var back = new FramedConnection(UnixConnection.Connect(_target));
        var answers = new Thread(() => Pass(back, front, count: false)) { Name = "register relay" };
        answers.Start();
        Pass(front, back, count: true);
        answers.Join();
    }

    private void Pass(FramedConnection from, FramedConnection to, bool count)
    {
        var message = new byte[128 << 10];
        try
        {
            while (from.Receive(message.AsSpan(0, HeaderBytes)))
            {
                var size = BitConverter.ToInt32(message, 4);
                from.Receive(message.AsSpan(HeaderBytes, size - HeaderBytes));
                if (count) Count(message.AsSpan(0, size));
                var descriptors = new List<SafeHandle>();
                while (from.Descriptors.TryTake(out SafeFileHandle? descriptor)) descriptors.Add(descriptor);
                to.Send(message.AsSpan(0, size), CollectionsMarshal.AsSpan(descriptors));
                foreach (var descriptor in descriptors) descriptor.Dispose();
            }
        }
        catch (IOException)
        {
            // An end disconnected.
        }
        from.Shutdown();
        to.Shutdown();
    }

    private void Count(ReadOnlySpan<byte> message)
    {
        var command = BitConverter.ToUInt16(message[2..]);
        if (command is not (RegionRead or RegionWrite) || BitConverter.ToUInt32(message[(HeaderBytes + 8)..]) != Bar5) return;
        if (command == RegionRead)
        {
            Interlocked.Increment(ref _reads);
            return;
        }
        Interlocked.Increment(ref _writes);
        if (BitConverter.ToInt64(message[HeaderBytes..]) == HbaRegister.OfPort(0, PortRegister.PxCI))
            Interlocked.Add(ref _commands, BitOperations.PopCount(BitConverter.ToUInt32(message[(HeaderBytes + 16)..])));
    }
}
