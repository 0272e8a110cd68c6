using VmShunt.Ring.Interop;

namespace VmShunt.BlockBackend;

/// <summary>Whether the peer of a connection has closed its end, while the session still completes its requests.</summary>
internal static class HangUp
{
    internal static Func<bool> Of(UnixConnection connection) => () =>
    {
        try
        {
            using var look = new WaitSet(connection.Handle);
            look.IgnoreData(0);
            return look.Wait(0) && look.IsHungUp(0);
        }
        catch (ObjectDisposedException)
        {
            return true;
        }
    };
}
