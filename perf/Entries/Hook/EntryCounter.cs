using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace VmShunt.EntryHook;

/// <summary>Counts method entries of one process. Woven code calls <see cref="Hit"/> first in each method, on any thread.</summary>
public static class EntryCounter
{
    /// <summary>More methods than this are not woven.</summary>
    public const int MaxMethods = 1 << 16;

    private static readonly int[] s_counts = new int[MaxMethods];

    /// <summary>Counts one entry.</summary>
    /// <param name="method">The method's number, as the weaver gave it.</param>
    public static void Hit(int method) => Interlocked.Increment(ref s_counts[method]);

    /// <summary>Sends all counts, 32 bits each in native order, to each connection on a socket; on a thread of its own.</summary>
    /// <param name="socket">The socket's path, which does not exist yet.</param>
    public static void Serve(string socket)
    {
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socket));
        listener.Listen();
        var thread = new Thread(() =>
        {
            while (true)
            {
                using var peer = listener.Accept();
                try
                {
                    peer.Send(MemoryMarshal.AsBytes(s_counts.AsSpan()));
                }
                catch (SocketException)
                {
                    // The reader closed early; the next one gets its own copy.
                }
            }
        })
        { IsBackground = true };
        thread.Start();
    }
}
