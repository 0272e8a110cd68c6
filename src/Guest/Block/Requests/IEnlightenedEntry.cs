namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// Where a request that a shunt diverts enters the enlightened side: port driver-en, class driver-en, or the shunt's own
/// end of the bus. Any thread.
/// </summary>
internal interface IEnlightenedEntry : IBlockDriver
{
    /// <summary>Whether port driver-en is instantiated: it has a bus.</summary>
    bool IsPresent { get; }

    /// <summary>Takes a request and completes it, unless it cannot go to VM-H now.</summary>
    /// <returns>False: not accepted; the request is untouched and still the caller's.</returns>
    bool TryAccept(BlockRequest request);
}
