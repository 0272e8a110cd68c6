using VmShunt.BlockDriver.Requests;

namespace VmShunt.Guest.Requests;

/// <summary>The trace of a request of this kernel, which observes it.</summary>
internal static class TracedRequest
{
    extension(BlockRequest request)
    {
        /// <summary>Its trace; null unless tracing is on.</summary>
        internal RequestTrace? Trace => (RequestTrace?)request.Observer;
    }
}
