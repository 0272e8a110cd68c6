using VmShunt.Ring.Interop;

namespace VmShunt.Ring.Serving;

/// <summary>One connection that this process inherited: a session, and no other after it.</summary>
internal sealed class ConnectedSource : SessionSource
{
    internal ConnectedSource(UnixConnection connection, Start start) => start(connection);

    public override void Dispose()
    {
    }
}
