namespace VmShunt.AhciBackend.Controller;

/// <summary>
/// The error of a queued command: all queued commands are aborted, and until the host reads the log of it, or resets the
/// device, every other command aborts (ACS-3 §4.15.2, §A.14).
/// </summary>
internal sealed class QueuedError
{
    private const byte NotQueued = 1 << 7;

    private AtaResult _result;
    private bool _wasQueued;

    /// <summary>Whether the log was not read yet.</summary>
    internal bool IsPending { get; private set; }

    internal void Clear() => IsPending = false;

    /// <summary>Keeps an error, if there is none yet.</summary>
    /// <param name="result">The failed command's registers.</param>
    /// <param name="wasQueued">False for a command that must not be sent while others are queued.</param>
    internal void Set(in AtaResult result, bool wasQueued)
    {
        if (IsPending) return;
        IsPending = true;
        _result = result;
        _wasQueued = wasQueued;
    }

    /// <summary>Fills in the log's page, and ends the error. Without one the page is empty.</summary>
    internal void TakeLog(Span<byte> page)
    {
        page.Clear();
        if (IsPending)
        {
            var address = _result.Address;
            page[0] = _wasQueued ? (byte)address.Tag : NotQueued;
            page[2] = (byte)_result.Status;
            page[3] = (byte)_result.Error;
            (page[4], page[5], page[6], page[7]) = (address.Lba0, address.Lba1, address.Lba2, (byte)address.Device);
            (page[8], page[9], page[10]) = (address.Lba3, address.Lba4, address.Lba5);
            (page[12], page[13]) = ((byte)address.Count, (byte)(address.Count >> 8));
        }
        else
        {
            page[0] = NotQueued;
        }
        byte sum = 0;
        foreach (var b in page[..^1]) sum += b;
        page[^1] = (byte)-sum;
        IsPending = false;
    }
}
