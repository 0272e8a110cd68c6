using VmShunt.BlockDriver;
using VmShunt.BlockDriver.Requests;

namespace VmShunt.Tests.Doubles;

/// <summary>A request that ignores its completion.</summary>
internal sealed class SilentRequest : BlockRequest
{
    protected override void End(BlockStatus status)
    {
    }
}
