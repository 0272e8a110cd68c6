using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.VhostUser;

/// <summary>The dirty log of a session (vhost-user, "Migration"). Used by the session's thread, while no ring runs.</summary>
internal sealed class BackendLog : IDisposable
{
    /// <summary>VHOST_F_LOG_ALL: the front-end wants what the device writes to be logged.</summary>
    internal const ulong LogAll = 1UL << 26;

    private DirtyLog? _log;

    /// <summary>Whether <see cref="LogAll"/> is set.</summary>
    internal bool IsWanted { get; set; }

    /// <summary>The log that running rings mark; null while nothing is logged.</summary>
    internal DirtyLog? Current => IsWanted ? _log : null;

    /// <summary>Maps a log, instead of an earlier one.</summary>
    /// <exception cref="VhostUserException">It cannot be used: without it the migrated guest would lose data.</exception>
    internal void Attach(in VhostUserLog log, SafeFileHandle? file)
    {
        if (file is null) throw new VhostUserException("SET_LOG_BASE has no descriptor");
        try
        {
            var next = DirtyLog.Map(file, log.MmapOffset, log.MmapSize);
            _log?.Dispose();
            _log = next;
        }
        catch (InvalidDataException e)
        {
            throw new VhostUserException($"SET_LOG_BASE: {e.Message}");
        }
    }

    public void Dispose()
    {
        _log?.Dispose();
        _log = null;
    }
}
