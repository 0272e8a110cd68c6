namespace VmShunt.Ring.VirtioBlk;

/// <summary>Classes of requests, as a shunt and VM-H sort them into primary and secondary. The bits are the wire's.</summary>
[Flags]
public enum RequestTypes : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>VIRTIO_BLK_T_IN.</summary>
    Read = 1 << 0,

    /// <summary>VIRTIO_BLK_T_OUT.</summary>
    Write = 1 << 1,

    /// <summary>VIRTIO_BLK_T_FLUSH.</summary>
    Flush = 1 << 2,

    /// <summary>VIRTIO_BLK_T_DISCARD.</summary>
    Discard = 1 << 3,

    /// <summary>VIRTIO_BLK_T_WRITE_ZEROES.</summary>
    WriteZeroes = 1 << 4,

    /// <summary>Reads and writes: what moves data.</summary>
    Data = Read | Write,

    /// <summary>All there are.</summary>
    All = Read | Write | Flush | Discard | WriteZeroes,
}

/// <summary>Classes as text, the same on both ends' command lines: <c>read,write,flush,discard,write-zeroes</c>, or <c>all</c>.</summary>
public static class RequestTypeList
{
    private static readonly (string Name, RequestTypes Class)[] s_names =
    [
        ("read", RequestTypes.Read), ("write", RequestTypes.Write), ("flush", RequestTypes.Flush),
        ("discard", RequestTypes.Discard), ("write-zeroes", RequestTypes.WriteZeroes),
    ];

    /// <summary>Reads a list; empty lists and unknown names are none.</summary>
    public static bool TryParse(string text, out RequestTypes classes)
    {
        ArgumentNullException.ThrowIfNull(text);
        classes = RequestTypes.None;
        if (text == "all")
        {
            classes = RequestTypes.All;
            return true;
        }
        foreach (var word in text.Split(','))
        {
            var found = Array.Find(s_names, n => n.Name == word.Trim());
            if (found.Name is null) return false;
            classes |= found.Class;
        }
        return true;
    }

    /// <summary>Writes a list.</summary>
    public static string Format(RequestTypes classes) => classes == RequestTypes.All
        ? "all"
        : string.Join(',', s_names.Where(n => (classes & n.Class) != 0).Select(n => n.Name)) is { Length: > 0 } text ? text : "none";
}
