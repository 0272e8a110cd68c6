using VmShunt.Guest.Block;

namespace VmShunt.Guest.Shunt;

/// <summary>Which requests a shunt diverts; the others pass down the emulating stack.</summary>
[Flags]
internal enum PrimaryRequests
{
    None = 0,
    Read = 1 << BlockOperation.Read,
    Write = 1 << BlockOperation.Write,
    Flush = 1 << BlockOperation.Flush,
    Discard = 1 << BlockOperation.Discard,
    WriteZeroes = 1 << BlockOperation.WriteZeroes,

    /// <summary>What is most frequent and takes most effort.</summary>
    Data = Read | Write,

    All = Read | Write | Flush | Discard | WriteZeroes,
}
