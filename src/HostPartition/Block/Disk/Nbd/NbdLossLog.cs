using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>Logs lost connections: the first at once, then one a minute with the number of those in between. One thread at a time.</summary>
internal sealed class NbdLossLog(string disk, ILogger log, TimeProvider time)
{
    private readonly LogPace _pace = new(TimeSpan.FromMinutes(1), time);
    private bool _isSaid;

    internal void Lost(string why)
    {
        _isSaid = _pace.TryTake(out var leftOut);
        if (!_isSaid) return;
        if (leftOut == 0) log.NbdLost(disk, why);
        else log.NbdLostMore(disk, why, leftOut);
    }

    internal void Back()
    {
        if (_isSaid) log.NbdBack(disk);
    }
}
