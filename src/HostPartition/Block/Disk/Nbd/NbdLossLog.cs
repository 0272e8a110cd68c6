using Microsoft.Extensions.Logging;
using VmShunt.BlockBackend.Log;

namespace VmShunt.BlockBackend.Disk.Nbd;

/// <summary>Logs lost connections: the first at once, then one a minute with the number of those in between. One thread at a time.</summary>
internal sealed class NbdLossLog(string disk, ILogger log, TimeProvider time)
{
    private static readonly TimeSpan s_pause = TimeSpan.FromMinutes(1);

    private long? _last;
    private long _leftOut;
    private bool _isSaid;

    internal void Lost(string why)
    {
        _isSaid = _last is not { } last || time.GetElapsedTime(last) >= s_pause;
        if (!_isSaid)
        {
            _leftOut++;
            return;
        }
        _last = time.GetTimestamp();
        if (_leftOut == 0) log.NbdLost(disk, why);
        else log.NbdLostMore(disk, why, _leftOut);
        _leftOut = 0;
    }

    internal void Back()
    {
        if (_isSaid) log.NbdBack(disk);
    }
}
