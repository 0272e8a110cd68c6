namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>How long a disk waits for its NBD server.</summary>
/// <param name="Connect">For a connection with its handshake.</param>
/// <param name="Silence">For any reply, while requests are in flight; then the connection counts as lost.</param>
/// <param name="Absence">For a server that was lost, before the requests that wait for it fail.</param>
/// <param name="Losses">How many connections one request may lose: more, and it is what makes the server close them.</param>
internal sealed record NbdLimits(TimeSpan Connect, TimeSpan Silence, TimeSpan Absence, int Losses)
{
    internal static NbdLimits Default { get; } = new(TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(10), Losses: 4);
}
