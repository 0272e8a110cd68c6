using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Requests;

/// <summary>
/// Where a diverted request enters the enlightened side: the port driver-en, the class driver-en, or the shunt's own end of
/// the bus. Any thread.
/// </summary>
internal interface IEnlightenedEntry : IBlockDriver
{
    /// <summary>Whether a port driver-en exists, with a bus.</summary>
    bool IsPresent { get; }

    /// <summary>Accepts and later completes a request, unless it cannot go to VM-H now.</summary>
    /// <returns>False: the request is untouched and still the caller's.</returns>
    bool TryAccept(BlockRequest request);
}
