using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VmShunt.Ring.Memory;

namespace VmShunt.Ring.VhostUser;

/// <summary>How a session's guest migrates (vhost-user, "Migration"): its dirty log. Used by the session's thread, while no ring runs.</summary>
/// <param name="session">The front-end's socket; not owned.</param>
internal sealed class BackendLog(SafeHandle session) : IDisposable
{
    /// <summary>VHOST_F_LOG_ALL: the front-end wants what the device writes to be logged.</summary>
    internal const ulong LogAll = 1UL << 26;

    private DirtyLog? _log;

    /// <summary>Whether <see cref="LogAll"/> is set.</summary>
    internal bool IsWanted { get; set; }

    /// <summary>The log that running rings mark; null while nothing is logged.</summary>
    internal DirtyLog? Current => IsWanted ? _log : null;

    /// <summary>Whether the record of chains in flight migrates with the guest, so that a ring need not complete them before it stops.</summary>
    internal bool TakesInflight { get; set; }

    /// <summary>Whether another host may serve the guest once all its rings are stopped.</summary>
    internal bool IsMigrating => Current is not null || TakesInflight;

    /// <summary>Maps a log, instead of an earlier one.</summary>
    /// <exception cref="VhostUserException">It cannot be used: without it the migrated guest would lose data.</exception>
    internal void Attach(in VhostUserLog log, SafeFileHandle? file)
    {
        if (file is null) throw new VhostUserException("SET_LOG_BASE has no descriptor");
        try
        {
            var next = DirtyLog.Map(file, log.MmapOffset, log.MmapSize, session);
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
