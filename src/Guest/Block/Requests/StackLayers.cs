namespace VmShunt.BlockDriver.Requests;

/// <summary>
/// What is around the class drivers on one disk, shared by all of them: what is below, and what sees requests before they
/// do. Either may be exchanged at any time; requests that have gone by are where they are. Any thread.
/// </summary>
/// <param name="lower">What is below at first.</param>
internal sealed class StackLayers(IBlockDriver lower)
{
    /// <summary>What class drivers hand requests to.</summary>
    internal IBlockDriver Lower { get; set; } = lower;

    /// <summary>What sees requests before a class driver does, or null.</summary>
    internal IBlockDriver? Above { get; set; }
}
