namespace VmShunt.BlockDriver.Requests;

/// <summary>The request types of a block device.</summary>
public enum BlockOperation : byte
{
    /// <summary>Disk to memory.</summary>
    Read,

    /// <summary>Memory to disk.</summary>
    Write,

    /// <summary>Makes completed writes durable.</summary>
    Flush,

    /// <summary>Deallocates a range.</summary>
    Discard,

    /// <summary>Makes a range read as zeros.</summary>
    WriteZeroes,
}
